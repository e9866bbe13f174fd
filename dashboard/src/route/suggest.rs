//! What a search could go on with, for a script that shows it while somebody types.

use axum::Json;
use axum::extract::{Query, State};
use domain::State as SessionState;
use serde::{Deserialize, Serialize};
use store::{Named, Overview, StateReason};

use super::{Asker, Data};
use crate::auth::Failure;
use crate::page::search::{GROUPS, Key};
use crate::words;

/// The most suggestions of one answer.
const MOST: usize = 8;

/// What is asked.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    /// What stands in the field, up to the caret.
    q: String,
}

/// The answer.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Suggestions {
    suggestions: Vec<Suggestion>,
}

/// One thing that the last word could be.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Suggestion {
    /// The whole text, with the last word completed: what the field holds once this is taken.
    q: String,
    /// The last word, completed: what is shown.
    text: String,
    /// How many bytes at the end of what was typed it stands for, so that a script can mark what is new.
    replaces: usize,
    /// In words, where the value is a code.
    word: Option<String>,
    /// How many live sessions have it, where that is known without counting. It doesn't look at the rest of the search.
    count: Option<u64>,
}

/// `GET /sessions/suggest?q=TEXT`, for whoever is signed in (401 without `text/html` in `accept`).
///
/// `TEXT` is what stands in the search field up to the caret. The answer is JSON, at most 8 of:
///
/// ```json
/// {"suggestions": [{"q": "state:retrying host:imap.example.com", "text": "host:imap.example.com", "replaces": 12,
///                   "word": null, "count": 214}]}
/// ```
///
/// The last word of `TEXT` is what is completed: to a qualifier (`ho` → `host:`), or, behind one, to its values: states and
/// reasons by how their names begin, hosts, users, devices and accounts by how they begin in the store, each by a look into an
/// index. After a comma the value after it is completed. Without a last word, or where nothing fits, the list is empty.
/// Addresses are never suggested. It is safe to ask for with each key; what was asked before may be thrown away when the
/// answer comes.
pub(super) async fn suggest(
    State(data): State<Data>,
    _: Asker,
    Query(Asked { q }): Query<Asked>,
) -> Result<Json<Suggestions>, Failure> {
    let seen = data.glance.latest(&data.auth).await?;
    let typed: &str = &q;
    let at = typed.rfind(char::is_whitespace).map_or(0, |at| at + 1);
    let (before, last) = typed.split_at(at.min(typed.len()));
    if last.is_empty() || last.len() > 200 {
        return Ok(Json(Suggestions { suggestions: Vec::new() }));
    }
    let found = match last.split_once(':') {
        None => keys(last),
        Some((key, values)) => {
            let (done, prefix) = values.rsplit_once(',').map_or(("", values), |(done, prefix)| (done, prefix));
            let lead = if done.is_empty() { format!("{key}:") } else { format!("{key}:{done},") };
            let name = key.trim_start_matches('-').to_lowercase();
            let found = match Key::ALL.into_iter().find(|key| key.as_str() == name) {
                Some(key) => of_key(&data, &seen, key, prefix).await?,
                None => Vec::new(),
            };
            found.into_iter().map(|(value, word, count)| (format!("{lead}{value}"), word, count)).collect()
        }
    };
    let suggestions = found
        .into_iter()
        .take(MOST)
        .map(|(text, word, count)| Suggestion { q: format!("{before}{text}"), replaces: last.len(), text, word, count })
        .collect();
    Ok(Json(Suggestions { suggestions }))
}

/// A value, what it is in words, and how many have it.
type Found = (String, Option<String>, Option<u64>);

fn keys(begin: &str) -> Vec<Found> {
    let begin = begin.to_lowercase();
    let fits = Key::ALL.into_iter().filter(|key| key.as_str().starts_with(&begin));
    fits.map(|key| (format!("{}:", key.as_str()), None, None)).collect()
}

async fn of_key(data: &Data, seen: &Overview, key: Key, prefix: &str) -> Result<Vec<Found>, Failure> {
    let lower = prefix.to_lowercase();
    let (named, prefix) = match key {
        Key::State => return Ok(states(seen, &lower)),
        Key::Reason => return Ok(reasons(seen, &lower)),
        Key::Since | Key::Changed => {
            let times = ["today", "30m", "2h", "24h", "3d"].into_iter().filter(|time| time.starts_with(&lower));
            return Ok(times.map(|time| (time.to_owned(), None, None)).collect());
        }
        Key::Node => {
            let nodes = seen.nodes.iter().map(|(node, count)| (node.to_string(), None, Some(*count)));
            return Ok(nodes.filter(|(node, ..)| node.starts_with(&lower)).collect());
        }
        // Whoever guesses at addresses learns nothing here, and session ids are pasted whole.
        Key::Address | Key::Session => return Ok(Vec::new()),
        Key::Host => (Named::Host, lower.as_str()),
        Key::Device => (Named::Device, prefix),
        Key::User => (Named::User, prefix),
        Key::Context => (Named::Context, prefix),
    };
    if key != Key::Host && prefix.is_empty() {
        // The first eight of all names are nobody's.
        return Ok(Vec::new());
    }
    let values = data.store().values(named, prefix, MOST).await?;
    let count = |value: &str| {
        let host = seen.hosts.iter().find(|host| key == Key::Host && host.host == value);
        host.map(|host| host.states.live())
    };
    Ok(values
        .into_iter()
        .map(|value| {
            let count = count(&value);
            (value, None, count)
        })
        .collect())
}

fn states(seen: &Overview, begin: &str) -> Vec<Found> {
    let live = ("live".to_owned(), Some("All but ended".to_owned()), Some(seen.states.live()));
    let states = SessionState::ALL.iter().map(|state| {
        let count = (*state != SessionState::Ended).then(|| seen.states.of(*state));
        (state.as_str().to_owned(), Some(words::state(*state).to_owned()), count)
    });
    states.chain([live]).filter(|(name, ..)| name.starts_with(begin)).collect()
}

fn reasons(seen: &Overview, begin: &str) -> Vec<Found> {
    let mut all: Vec<Found> = StateReason::all()
        .map(|reason| {
            let (word, count) = match reason {
                StateReason::Failed(code) => {
                    let groups = seen.failures.iter().filter(|group| group.code == code);
                    (words::cell(code), Some(groups.map(|group| group.sessions).sum()))
                }
                StateReason::Ended(reason) => (words::end_cell(reason), None),
            };
            (reason.as_str().to_lowercase(), Some(word.to_owned()), count)
        })
        .filter(|(name, word, _)| {
            let word = word.as_deref().unwrap_or_default().to_lowercase();
            name.starts_with(begin) || word.starts_with(begin)
        })
        .collect();
    all.sort_by_key(|(_, _, count)| std::cmp::Reverse(*count));
    let groups = GROUPS.iter().filter(|(name, _)| name.starts_with(begin));
    let groups: Vec<Found> = groups.map(|(name, word)| ((*name).to_owned(), Some((*word).to_owned()), None)).collect();
    // Without a beginning, what is most frequent is of more use.
    if begin.is_empty() {
        all.extend(groups);
    } else {
        all.splice(0..0, groups);
    }
    all
}

//! Acts on many sessions: the question at a URL of its own, the order, and how far it has come.

use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use domain::SessionId;
use http::StatusCode;
use store::{
    AuditAction, BulkId, BulkRecord, BulkStep, Count, ListPart, NewAudit, NewBulk, Role, SessionRow, StoreError,
};

use super::listing::{Listing, listing};
use super::{Asker, Data, sessions};
use crate::auth::{Client, Failure};
use crate::bulk::{Act, MOST, new_id};
use crate::page::bulk::{BulkPage, Question};
use crate::page::search::{Key, Search};
use crate::page::sessions::Found;
use crate::page::trouble::Trouble;
use crate::shell::Section;

/// Sessions that were ticked are those of one page at the most.
const TICKED: usize = 200;

/// Sessions that the question lists.
const LISTED: usize = 10;

/// What is counted of those that match.
const COUNTED: u64 = 10_000;

/// What the list's form or the question's form says.
#[derive(Clone, Debug, Default)]
struct Asked {
    act: String,
    q: String,
    sort: String,
    all: bool,
    ids: Vec<String>,
    reason: String,
    number: String,
}

impl Asked {
    /// Reads a form. One field may be there many times, which serde's forms don't take.
    fn parse(form: &[u8]) -> Self {
        let mut asked = Self::default();
        for (name, value) in form_urlencoded::parse(form) {
            match name.as_ref() {
                "act" => asked.act = value.into_owned(),
                "q" => asked.q = value.into_owned(),
                "sort" => asked.sort = value.into_owned(),
                "all" => asked.all = value == "1",
                "id" if asked.ids.len() < TICKED => asked.ids.push(value.into_owned()),
                "reason" => {
                    let clean = value.trim().chars().filter(|char| !char.is_control());
                    asked.reason = clean.take(400).collect();
                }
                "number" => asked.number = value.trim().to_owned(),
                _ => {}
            }
        }
        asked
    }
}

/// What was chosen.
struct Chosen {
    act: Act,
    /// Those that live, in the order of the list.
    live: Vec<SessionRow>,
    found: Found,
    ended: usize,
    cut: bool,
    found_by: String,
    back: String,
    carries: Vec<(&'static str, String)>,
    /// Of an address, if one was searched for.
    address_hash: Option<String>,
}

/// Why nothing can be chosen so.
enum Unchosen {
    /// The form says nothing that we know, or nothing was ticked.
    Nothing {
        back: String,
        what: &'static str,
    },
    /// A part of the search was not understood: then it would be done to others than was meant.
    Problem {
        back: String,
    },
    Failure(Box<Failure>),
}

impl From<Failure> for Unchosen {
    fn from(failure: Failure) -> Self {
        Self::Failure(Box::new(failure))
    }
}

impl From<StoreError> for Unchosen {
    fn from(error: StoreError) -> Self {
        Self::Failure(Box::new(error.into()))
    }
}

impl Unchosen {
    fn answer(self, data: &Data, asker: &Asker) -> Result<Response, Failure> {
        match self {
            Self::Nothing { back, what } => {
                Ok(asker.trouble(data, StatusCode::UNPROCESSABLE_ENTITY, Trouble::NotChosen { back, what }))
            }
            // The list says what was not understood.
            Self::Problem { back } => Ok(Redirect::to(&back).into_response()),
            Self::Failure(failure) => Err(*failure),
        }
    }
}

async fn choose(data: &Data, asker: &Asker, asked: &Asked) -> Result<Chosen, Unchosen> {
    let mut search = Search::parse(&asked.q).sorted(&asked.sort);
    let back = || {
        let typed = crate::page::search::encode(&asked.q);
        format!("/sessions?q={typed}&sort={}", crate::page::search::encode(&asked.sort))
    };
    let Some(act) = Act::parse(&asked.act) else {
        return Err(Unchosen::Nothing { back: back(), what: "Choose what is to be done to them." });
    };
    asker.staff.require(act.role())?;
    let mut carries = vec![("act", act.as_str().to_owned()), ("q", asked.q.clone()), ("sort", asked.sort.clone())];
    let (mut rows, mut cut, mut address_hash) = (Vec::new(), false, None);
    let (mut found, mut found_by) = (Found::Exactly(0), String::new());
    if asked.all {
        let seen = data.glance.latest(&data.auth).await?;
        let Listing { list, address_hash: hash, .. } = listing(data, &mut search, &seen.nodes);
        if !search.problems.is_empty() {
            return Err(Unchosen::Problem { back: back() });
        }
        carries.push(("all", "1".to_owned()));
        address_hash = hash;
        let mut part = ListPart::First;
        loop {
            let page = data.store().list_sessions(&list, &part, 200).await?;
            rows.extend(page.rows);
            match page.next {
                Some(_) if rows.len() >= MOST => {
                    cut = true;
                    break;
                }
                Some(next) => part = ListPart::After(next),
                None => break,
            }
        }
        found = match data.store().count_list(&list, COUNTED).await? {
            Count::Exactly(number) => Found::Exactly(number),
            Count::MoreThan(number) => Found::MoreThan(number),
        };
        // The audit is for more eyes than an address.
        let shown = search.without(Key::Address);
        found_by = match (search.get(Key::Address).is_some(), shown.to_string()) {
            (false, text) if text.is_empty() => "all sessions".to_owned(),
            (false, text) => text,
            (true, text) => format!("an address {text}").trim_end().to_owned(),
        };
    } else {
        let mut ids: Vec<SessionId> = asked.ids.iter().filter_map(|id| SessionId::parse(id).ok()).collect();
        let mut known = std::collections::HashSet::new();
        ids.retain(|id| known.insert(*id));
        for id in &ids {
            rows.extend(data.store().session_detail(*id).await?.map(|detail| detail.row));
            carries.push(("id", id.to_string()));
        }
        if !rows.is_empty() {
            found = Found::Exactly(u64::try_from(rows.len()).unwrap_or(u64::MAX));
            found_by = "ticked by hand".to_owned();
        }
    }
    if rows.is_empty() {
        return Err(Unchosen::Nothing { back: back(), what: "Tick sessions in the list, or take all that match." });
    }
    rows.truncate(MOST);
    let looked_at = rows.len();
    rows.retain(|row| row.life.is_live());
    let ended = looked_at - rows.len();
    Ok(Chosen { act, live: rows, found, ended, cut, found_by, back: back(), carries, address_hash })
}

fn question(asker: &Asker, chosen: Chosen, asked: &Asked, problem: Option<String>) -> Question {
    let Chosen { act, live, found, ended, cut, found_by, back, carries, .. } = chosen;
    Question {
        act,
        sessions: live.len(),
        found,
        ended,
        cut,
        found_by,
        first: live.into_iter().take(LISTED).map(sessions::row).collect(),
        carries,
        back,
        csrf: asker.staff.csrf.clone(),
        problem,
        reason: asked.reason.clone(),
    }
}

/// The question: what, to how many, and the first of them.
pub(super) async fn ask(
    State(data): State<Data>,
    asker: Asker,
    client: Client,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    asker.staff.require(Role::Support)?;
    let asked = Asked::parse(query.unwrap_or_default().as_bytes());
    let chosen = match choose(&data, &asker, &asked).await {
        Ok(chosen) => chosen,
        Err(unchosen) => return unchosen.answer(&data, &asker),
    };
    if let Some(hash) = &chosen.address_hash {
        data.auth.audit(&asker.staff, &client, AuditAction::AddressSearched, hash.clone(), None).await?;
    }
    let question = question(&asker, chosen, &asked, None);
    Ok(asker.show(&data, Section::Sessions, "Many at once", || question.view()))
}

/// The order. What is chosen is looked up again: those are the sessions to which it is done, whatever happens to the list.
pub(super) async fn order(
    State(data): State<Data>,
    asker: Asker,
    client: Client,
    body: axum::body::Bytes,
) -> Result<Response, Failure> {
    asker.staff.require(Role::Support)?;
    let asked = Asked::parse(&body);
    let chosen = match choose(&data, &asker, &asked).await {
        Ok(chosen) => chosen,
        Err(unchosen) => return unchosen.answer(&data, &asker),
    };
    let number = chosen.live.len();
    let problem = if number == 0 {
        Some("All of them have ended.".to_owned())
    } else if chosen.act == Act::Revoke && asked.reason.is_empty() {
        Some("Say why, or name the ticket.".to_owned())
    } else if chosen.act == Act::Revoke && asked.number.replace(',', "") != number.to_string() {
        Some(format!("It is about {number} sessions now. Look at them again, and type that number."))
    } else if data.handle.is_none() {
        Some("This dashboard runs without a backend, and can’t do anything to sessions.".to_owned())
    } else {
        None
    };
    if problem.is_some() {
        return Ok(refused(&data, &asker, chosen, &asked, problem));
    }
    let new = NewBulk {
        id: new_id(),
        act: chosen.act.as_str().to_owned(),
        sessions: chosen.live.iter().map(|row| row.id).collect(),
        found_by: chosen.found_by.clone(),
        back: chosen.back.clone(),
        staff: asker.staff.name.clone(),
        address: client.address.to_string(),
        reason: asked.reason.clone(),
        at: data.now(),
    };
    let id = new.id;
    let entry = NewAudit {
        at: new.at,
        staff: new.staff.clone(),
        action: AuditAction::BulkStarted,
        subject: format!("{id}: {} of {number}, {}", new.act, new.found_by),
        reason: Some(new.reason.clone()).filter(|reason| !reason.is_empty()),
        address: Some(new.address.clone()),
    };
    if data.bulks.order(&data.auth, new, entry).await?.is_err() {
        let problem = "Ten others wait already. Try again when one of them is over.".to_owned();
        return Ok(refused(&data, &asker, chosen, &asked, Some(problem)));
    }
    Ok(Redirect::to(&format!("/bulk/{id}")).into_response())
}

/// The question once more, with why nothing was done.
fn refused(data: &Data, asker: &Asker, chosen: Chosen, asked: &Asked, problem: Option<String>) -> Response {
    let question = question(asker, chosen, asked, problem);
    let response = asker.show(data, Section::Sessions, "Many at once", || question.view());
    (StatusCode::UNPROCESSABLE_ENTITY, response).into_response()
}

async fn find(data: &Data, id: &str) -> Result<Option<BulkRecord>, StoreError> {
    match BulkId::parse(id) {
        Some(id) => data.store().bulk(id).await,
        None => Ok(None),
    }
}

/// How far it has come.
pub(super) async fn progress(
    State(data): State<Data>,
    asker: Asker,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    asker.staff.require(Role::Support)?;
    let Some(bulk) = find(&data, &id).await? else {
        return Ok(asker.trouble(&data, StatusCode::NOT_FOUND, Trouble::NoBulk));
    };
    let page = BulkPage {
        progress: data.store().bulk_progress(bulk.id).await?,
        bulk,
        csrf: asker.staff.csrf.clone(),
        now: data.now(),
    };
    Ok(asker.show(&data, Section::Sessions, "Many at once", || page.view()))
}

/// Stops it. What was done stays done.
pub(super) async fn stop(
    State(data): State<Data>,
    asker: Asker,
    client: Client,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    asker.staff.require(Role::Support)?;
    let Some(bulk) = find(&data, &id).await? else {
        return Ok(asker.trouble(&data, StatusCode::NOT_FOUND, Trouble::NoBulk));
    };
    let (id, by) = (bulk.id, asker.staff.name.clone());
    let entry = NewAudit {
        at: data.now(),
        staff: by.clone(),
        action: AuditAction::BulkStopped,
        subject: id.to_string(),
        reason: None,
        address: Some(client.address.to_string()),
    };
    // What is over stays as it is, and the page says so.
    let _ = data.store().bulk_step(BulkStep::Stop { id, at: data.now(), by }, Some(entry)).await?;
    Ok(Redirect::to(&format!("/bulk/{id}")).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_have_one_field_many_times() {
        let asked = Asked::parse(b"act=ping&id=a&id=b&q=state%3Aretrying&all=1&reason=+x%0A+");
        assert_eq!((asked.act.as_str(), asked.ids.len(), asked.all), ("ping", 2, true));
        assert_eq!((asked.q.as_str(), asked.reason.as_str()), ("state:retrying", "x"));
        let many = "id=x&".repeat(500);
        assert_eq!(Asked::parse(many.as_bytes()).ids.len(), TICKED);
    }
}

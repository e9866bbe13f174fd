//! Acts on many sessions: the question before, and how far it has come.

use domain::Timestamp;
use leptos::prelude::*;
use store::{BulkOutcome, BulkProgress, BulkRecord, BulkStage};

use crate::bulk::Act;
use crate::page::sessions::{Found, Row};
use crate::part::card::{Card, fact, go, soft};
use crate::part::chain::ticks;
use crate::part::format::{at_moment, count, counted, short_id, span};
use crate::part::icon::Icon;
use crate::part::mark::{Mark, StateWord};
use crate::part::notice::{Dialog, Strip};
use crate::part::region::region;
use crate::part::table::{Col, Table, labelled, row, td};
use crate::shell::Head;

/// The question.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) act: Act,
    /// To how many it would be done: those that live.
    pub(crate) sessions: usize,
    /// How many were found.
    pub(crate) found: Found,
    /// How many of those that were looked at have ended.
    pub(crate) ended: usize,
    /// Whether there are more than can be done at once.
    pub(crate) cut: bool,
    /// By what they were found.
    pub(crate) found_by: String,
    /// The first ten.
    pub(crate) first: Vec<Row>,
    /// What the form carries on: name and value.
    pub(crate) carries: Vec<(&'static str, String)>,
    /// The list that it came from.
    pub(crate) back: String,
    pub(crate) csrf: String,
    pub(crate) problem: Option<String>,
    pub(crate) reason: String,
}

impl Question {
    /// The page.
    pub(crate) fn view(self) -> AnyView {
        let Self { act, sessions, found, ended, cut, found_by, first, carries, back, csrf, problem, reason } = self;
        let number = u64::try_from(sessions).unwrap_or(u64::MAX);
        let them = counted(number, "session");
        let title = format!("{} {them}?", act.verb());
        let keep = view! { <a class="b" href=back.clone()>"Do nothing"</a> };
        let class = if act == Act::Revoke { "b danger fill" } else { "b primary" };
        let foot = view! {
            {keep}
            <button class=class disabled=sessions == 0>{act.icon().view()}{format!("{} {them}", act.noun())}</button>
        }
        .into_any();
        let carries = carries
            .into_iter()
            .map(|(name, value)| view! { <input type="hidden" name=name value=value/> })
            .collect_view();
        let problem = problem
            .map(|problem| view! { <Strip mark=Mark::Fault bold="Nothing was done yet." text=problem alert=true/> });
        let cut = cut.then(|| {
            let text = format!(
                "Of {}, the first {} in the order of the list. Narrow the filter, or come again for the others.",
                found.text(),
                count(u64::try_from(crate::bulk::MOST).unwrap_or(u64::MAX))
            );
            view! { <Strip mark=Mark::Retrying bold="Not all at once." text=text/> }
        });
        let ended = (ended > 0).then(|| {
            let text = format!("{} of them have ended and are left out.", count(u64::try_from(ended).unwrap_or(0)));
            fact("Ended", text)
        });
        let listed = u64::try_from(first.len()).unwrap_or(0);
        let lines = first
            .into_iter()
            .map(|of| view! { <li><StateWord mark=of.mark text=of.state/>" "<span class="mono">{short_id(&of.id)}</span>" "{of.user}", "{of.host}</li> })
            .collect_view();
        let more =
            (number > listed).then(|| view! { <li class="soft">{format!("and {} more", count(number - listed))}</li> });
        let confirm = (act == Act::Revoke).then(|| {
            view! {
                <div class="field">
                    <label for="number">{format!("Type {number} to confirm")}</label>
                    <input class="in" id="number" name="number" inputmode="numeric" required autocomplete="off" maxlength="6"/>
                </div>
            }
        });
        let (label, help) = match act {
            Act::Revoke => {
                ("Reason or ticket", "Required. Kept in the audit with your name, for the whole and for each session.")
            }
            _ => (
                "Reason or ticket (may be empty)",
                "Kept in the audit with your name, for the whole and for each session.",
            ),
        };
        view! {
            <Dialog action="/bulk".to_owned() title=title csrf=csrf foot=foot>
                {problem}
                {cut}
                {carries}
                <dl class="thing">
                    {fact("Found by", view! { <span class="mono">{found_by}</span> })}
                    {fact("To how many", format!("{them}, about 20 a second: {}", took(number)))}
                    {ended}
                </dl>
                <ul class="firsts" aria-label="The first of them">{lines}{more}</ul>
                {ticks(what_happens(act))}
                <div class="field">
                    <label for="reason">{label}</label>
                    <input class="in" id="reason" name="reason" value=reason maxlength="400" required=act == Act::Revoke aria-describedby="reason-h" autocomplete="off"/>
                    <p class="help" id="reason-h">{help}</p>
                </div>
                {confirm}
            </Dialog>
        }
        .into_any()
    }
}

fn took(sessions: u64) -> String {
    span(std::time::Duration::from_secs(sessions.div_ceil(20)))
}

fn what_happens(act: Act) -> Vec<(Icon, &'static str)> {
    match act {
        Act::Ping => vec![
            (
                Icon::Ping,
                "Each mail server is asked now whether there is new mail. A session without a connection logs in for it.",
            ),
            (Icon::Mail, "New mail is pushed, or waits for the device’s own time, as always."),
        ],
        Act::TestPush => vec![(Icon::Bell, "Each device gets one push that says it is a test. Apps may show it.")],
        Act::Trace => {
            vec![(Icon::Trace, "Each episode of each session is traced for an hour, whatever the sampler says.")]
        }
        Act::Revoke => vec![
            (Icon::Plug, "The connections to the mail servers are closed at once."),
            (Icon::Key, "The sealed credentials are deleted. Nobody can bring them back."),
            (Icon::Bell, "The devices are told to register again. Until then no mail is pushed."),
        ],
    }
}

/// How far it has come.
#[derive(Clone, Debug)]
pub(crate) struct BulkPage {
    pub(crate) bulk: BulkRecord,
    pub(crate) progress: BulkProgress,
    pub(crate) csrf: String,
    pub(crate) now: Timestamp,
}

impl BulkPage {
    /// The page.
    pub(crate) fn view(self) -> AnyView {
        let Self { bulk, progress, csrf, now } = self;
        let (all, seen, number) = (bulk.sessions, progress.seen(), count);
        let left = took(all - seen.min(all));
        let (text, under_way) = match &bulk.stage {
            BulkStage::Waits => ("It waits for another one, and begins by itself.".to_owned(), true),
            BulkStage::Runs => {
                (format!("{} of {} looked at, 20 a second, ready in about {left}.", number(seen), number(all)), true)
            }
            BulkStage::Done { at } => {
                (format!("Over {}: {} of {} done.", at_moment(*at, now), number(progress.done), number(all)), false)
            }
            BulkStage::Stopped { at, by } => (
                format!(
                    "Stopped by {by} {}: {} of {} were done and stay so.",
                    at_moment(*at, now),
                    number(progress.done),
                    number(all)
                ),
                false,
            ),
        };
        let noun = Act::parse(&bulk.act).map_or("Act", Act::noun);
        let title = format!("{noun} of {}", counted(all, "session"));
        let here = format!("/bulk/{}", bulk.id);
        let back = view! { <a class="b" href=bulk.back.clone()>"Back to the list"</a> };
        let acts = under_way.then(|| {
            view! {
                <a class="b" href=here.clone()>{Icon::Running.view()}"Look again"</a>
                <form method="post" action=format!("{here}/stop")>
                    <input type="hidden" name="csrf" value=csrf/>
                    <button class="b danger">{Icon::Cross.view()}"Stop"</button>
                </form>
            }
        });
        let acts = view! { {acts}{back} }.into_any();
        let rows = [
            (Mark::Ok, "Done", progress.done, ""),
            (Mark::Ended, "Had ended meanwhile", progress.ended, "Nothing was done to them."),
            (
                Mark::NotReached,
                "Not watched here",
                progress.not_watched,
                "No node watches them at the moment. Try those again.",
            ),
            (Mark::NotReached, "Not known any more", progress.unknown, "Their details are cleared."),
            (Mark::Fault, "The store failed", progress.failed, "Nothing was done to them. Try those again."),
        ]
        .into_iter()
        .filter(|(mark, _, sessions, _)| *sessions > 0 || *mark == Mark::Ok)
        .map(|(mark, name, sessions, text)| {
            row(vec![
                td("lead", view! { <StateWord mark=mark text=name/> }),
                labelled("num trail", "Sessions", number(sessions)),
                td("nolab", view! { <span class="soft">{text}</span> }),
            ])
        })
        .collect();
        let cols = vec![Col::text("What became of it"), Col::num("Sessions"), Col::text("What to do")];
        let missed = (!progress.missed.is_empty()).then(move || {
            let lines = progress.missed.into_iter().map(|(id, why)| {
                let why = match why {
                    BulkOutcome::Ended => "had ended",
                    BulkOutcome::Unknown => "is not known any more",
                    BulkOutcome::NotWatched => "is not watched here",
                    BulkOutcome::Failed => "the store failed",
                    BulkOutcome::Done => "done",
                };
                let id = id.to_string();
                view! { <li><a class="mono" href=format!("/sessions/{id}")>{short_id(&id)}</a>" "{why}</li> }
            });
            view! { <Card id="missed" title="The first that were left out"><ul class="firsts pad">{lines.collect_view()}</ul></Card> }
        });
        let reason = if bulk.reason.is_empty() { "None given".to_owned() } else { bulk.reason.clone() };
        let audit = go("In the audit", format!("/audit?staff={}", crate::page::search::encode(&bulk.staff)));
        let head = view! { <Head title=title text=text acts=acts/> };
        let card = view! {
                <Card id="progress" title="Progress" remark=soft(format!("by {}, {}", bulk.staff, at_moment(bulk.ordered_at, now))) foot=audit>
                    <div class="pad">
                        <progress class="bulkbar" max=all.to_string() value=seen.to_string() aria-label="Sessions looked at">{format!("{seen} of {all}")}</progress>
                        <dl class="facts wide">
                            {fact("Found by", view! { <span class="mono">{bulk.found_by}</span> })}
                            {fact("Reason", reason)}
                        </dl>
                    </div>
                    <Table caption="What became of it" cols=cols rows=rows/>
                </Card>
        };
        view! {
            {region("head", head)}
            <div class="stack">
                {region("progress", card)}
                {region("missed", missed)}
            </div>
        }
        .into_any()
    }
}

//! A forced ping and what came of it.

use domain::{FailureCode, Timestamp};
use leptos::prelude::*;

use super::{Acts, Subject, bar};
use crate::part::chain::WhyNoPush;
use crate::part::format::{clock, count};
use crate::part::mark::Mark;
use crate::part::region::region;
use crate::part::run::{ForcedPing, Run, Step};
use crate::part::sentence::Sentence;
use crate::why::{chain, failure_mark, sentence};
use crate::words;

/// What a ping reports, in the order in which it happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It was asked for; a connection is made where none is open.
    Connecting {
        host: String,
    },
    Connected,
    LoggedIn,
    /// The mailbox was opened.
    Opened,
    /// UIDNEXT, as it was known and as the server says now.
    Asked {
        before: u32,
        after: u32,
    },
    /// Over: there is no new mail.
    NothingNew,
    /// Over: a push was written.
    Pushed,
    /// Over: there is new mail, and its push waits for the hold or for the device.
    Gathered,
    /// Over: it failed.
    Failed {
        code: FailureCode,
        evidence: String,
    },
}

/// A forced ping so far: each report with its time in milliseconds from the click.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reports {
    pub(crate) reports: Vec<(u64, Progress)>,
    pub(crate) by: String,
    pub(crate) at: Option<Timestamp>,
    pub(crate) mechanism: &'static str,
    pub(crate) trace: Option<String>,
}

impl Reports {
    /// Whether it is over.
    pub(crate) fn is_over(&self) -> bool {
        matches!(
            self.reports.last(),
            Some((_, Progress::NothingNew | Progress::Pushed | Progress::Gathered | Progress::Failed { .. }))
        )
    }

    /// The lines of the card: what was done, what is being done, what is to come.
    pub(crate) fn run(&self) -> Run {
        let mut steps = Vec::new();
        let mut from = 0;
        let mut host = String::new();
        let mut finding = None;
        let mut summary = "from click to answer";
        let mut done =
            |steps: &mut Vec<Step>, to: u64, mark: Mark, name: String, text: String, quote: Option<String>| {
                steps.push(Step { mark, name, text, span: Some((from, to)), quote });
                from = to;
            };
        for (at, report) in &self.reports {
            match report {
                Progress::Connecting { host: to } => host.clone_from(to),
                Progress::Connected => done(&mut steps, *at, Mark::Ok, "Connected".to_owned(), host.clone(), None),
                Progress::LoggedIn => {
                    done(&mut steps, *at, Mark::Ok, "Logged in".to_owned(), self.mechanism.to_owned(), None)
                }
                Progress::Opened => done(&mut steps, *at, Mark::Ok, "Mailbox opened".to_owned(), String::new(), None),
                Progress::Asked { before, after } => {
                    let (name, text) = if before == after {
                        (format!("UIDNEXT {}", count((*after).into())), "Nothing new".to_owned())
                    } else {
                        (
                            format!("UIDNEXT {} → {}", count((*before).into()), count((*after).into())),
                            "New mail".to_owned(),
                        )
                    };
                    done(&mut steps, *at, Mark::Ok, name, text, None);
                }
                Progress::NothingNew => {
                    finding = Some((
                        Mark::Ok,
                        "The mail server answers, and has nothing new.".to_owned(),
                        "Whatever the customer misses has not come to this mailbox, or the device has seen it."
                            .to_owned(),
                    ));
                }
                Progress::Gathered => {
                    finding = Some((
                        Mark::Ok,
                        "There is new mail. Its push waits.".to_owned(),
                        "It is sent when the hold is over, or when the device no longer reads its mail itself."
                            .to_owned(),
                    ));
                }
                Progress::Pushed => {
                    summary = "from click to push";
                    done(&mut steps, *at, Mark::Ok, "Pushed".to_owned(), "Handed to the sender".to_owned(), None);
                }
                Progress::Failed { code, evidence } => {
                    summary = "from click to fault";
                    let quote = (!evidence.is_empty()).then(|| evidence.clone());
                    let name = words::cell(*code).to_owned();
                    done(&mut steps, *at, failure_mark(*code), name, host.clone(), quote);
                    finding = Some((failure_mark(*code), code.message().to_owned(), code.remedy().to_owned()));
                }
            }
        }
        if !self.is_over() {
            let next = match self.reports.last().map(|(_, report)| report) {
                None | Some(Progress::Connecting { .. }) => "Connecting",
                Some(Progress::Connected) => "Logging in",
                Some(Progress::LoggedIn) => "Opening the mailbox",
                Some(Progress::Opened) => "Asking for UIDNEXT",
                Some(_) => "Pushing",
            };
            steps.push(Step { mark: Mark::Running, name: next.to_owned(), text: host, span: None, quote: None });
        }
        Run {
            steps,
            done: self.is_over(),
            summary: summary.to_owned(),
            asked: self.at.map_or_else(String::new, |at| format!("Asked by {} at {}", self.by, clock(at))),
            finding,
            trace: self.trace.clone(),
        }
    }
}

/// What the page shows.
#[derive(Clone, Debug)]
pub(crate) struct PingPage {
    pub(crate) subject: Subject,
    pub(crate) acts: Acts,
    pub(crate) run: Run,
}

impl PingPage {
    /// The page.
    pub(crate) fn view(self) -> AnyView {
        let now = self.subject.facts.now;
        let crumbs = self.subject.crumbs(Some("Forced ping"));
        let head = sentence(&self.subject.facts);
        let meta = self.subject.meta();
        let bar = if self.run.done { bar(&self.subject, &self.acts, true) } else { ().into_any() };
        let chain = chain(&self.subject.facts);
        let no_trace: Option<String> = None;
        let again = (!self.run.done).then(
            || view! { <a class="b primary" href=format!("/sessions/{}/ping", self.subject.id)>"Look again"</a> },
        );
        view! {
            {crumbs}
            {region("sentence", view! { <Sentence sentence=head>{meta}</Sentence> })}
            {region("bar", bar)}
            <div class="stack">
                {region("run", view! { <ForcedPing run=self.run/> })}
                {region("why", view! { <WhyNoPush chain=chain now=now trace=no_trace/> })}
                <div class="acts">
                    {region("again", again)}
                    <a class="b" href=format!("/sessions/{}", self.subject.id)>"Back to the session"</a>
                </div>
            </div>
        }
        .into_any()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(reports: Vec<(u64, Progress)>, expect: &[&str]) {
        let run = Reports { reports, by: "kim".into(), mechanism: "PLAIN", ..Reports::default() }.run();
        let lines: Vec<String> = run
            .steps
            .iter()
            .map(|step| match step.span {
                Some((from, to)) => format!("{} {}", step.name, to - from),
                None => format!("{}…", step.name),
            })
            .collect();
        assert_eq!(lines, expect);
    }

    #[test]
    fn reports_become_lines() {
        let begun = || vec![(0, Progress::Connecting { host: "imap.example.com".into() })];
        check(begun(), &["Connecting…"]);
        let mut good = begun();
        good.extend([(84, Progress::Connected), (176, Progress::LoggedIn)]);
        check(good.clone(), &["Connected 84", "Logged in 92", "Opening the mailbox…"]);
        good.extend([
            (200, Progress::Opened),
            (208, Progress::Asked { before: 41, after: 42 }),
            (312, Progress::Pushed),
        ]);
        check(good, &["Connected 84", "Logged in 92", "Mailbox opened 24", "UIDNEXT 41 → 42 8", "Pushed 104"]);
        check(vec![(9, Progress::Asked { before: 41, after: 41 }), (9, Progress::NothingNew)], &["UIDNEXT 41 9"]);
        let mut bad = begun();
        bad.push((84, Progress::Connected));
        bad.push((1_459, Progress::Failed { code: FailureCode::LoginRefused, evidence: "a2 NO".into() }));
        check(bad, &["Connected 84", "Password refused 1375"]);
    }
}

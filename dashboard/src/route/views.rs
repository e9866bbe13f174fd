//! Views of the list: those that are always there, and those that staff save.

use axum::extract::{Form, Path, Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use domain::{EndReason, State as SessionState};
use http::StatusCode;
use serde::Deserialize;
use store::{AuditAction, NewAudit, Overview, Role, SavedView, StaffId, ViewAct, ViewId, ViewRefusal};

use super::{Asker, Data};
use crate::auth::{Client, Failure};
use crate::page::search::{ENDED_BY_FAULT, Search, needs_a_person};
use crate::page::sessions::Tab;
use crate::page::views::{View, Views};
use crate::part::mark::Mark;
use crate::shell::Section;

/// The most characters of a name.
const NAME: usize = 40;

/// The views above the list: the ones that are always there, everybody's, and one's own.
pub(super) async fn tabs(data: &Data, asker: &Asker, search: &Search, seen: &Overview) -> Result<Vec<Tab>, Failure> {
    let by_fault = |reason: &EndReason| ENDED_BY_FAULT.contains(reason);
    let person = seen.failures.iter().filter(|group| needs_a_person(group.code.class()));
    let ended = seen.ended.iter().filter(|(reason, _)| by_fault(reason)).map(|(_, sessions)| sessions);
    let always = [
        ("All", "", None, None),
        ("Needs a person", "reason:person", Some(person.map(|group| group.sessions).sum()), Some(Mark::Fault)),
        ("Retrying", "state:retrying", Some(seen.states.of(SessionState::Retrying)), Some(Mark::Retrying)),
        ("Held", "state:holding", Some(seen.states.of(SessionState::Holding)), Some(Mark::Holding)),
        ("Ended by fault", "reason:fault changed:24h", Some(ended.sum()), Some(Mark::Ended)),
    ];
    let mut tabs: Vec<Tab> = always
        .into_iter()
        .map(|(name, query, count, mark)| {
            let of = Search::parse(query);
            Tab {
                name: name.to_owned(),
                href: of.href(),
                count,
                mark,
                chosen: of.terms == search.terms && search.sort.is_none(),
            }
        })
        .collect();
    for view in data.store().views_of(asker.staff.id).await? {
        let of = Search::parse(&view.query).sorted(&view.sort);
        let chosen = of.terms == search.terms && of.sort == search.sort && search.problems.is_empty();
        tabs.push(Tab { name: view.name, href: of.href(), count: None, mark: None, chosen });
    }
    Ok(tabs)
}

/// What the page is asked for: what would be saved.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    q: String,
    sort: String,
}

/// What the forms say.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ViewForm {
    q: String,
    sort: String,
    name: String,
    shared: String,
}

impl ViewForm {
    /// The name without what doesn't belong into one; none if nothing is left.
    fn name(&self) -> Option<String> {
        let clean: String = self.name.trim().chars().filter(|char| !char.is_control()).take(NAME).collect();
        Some(clean).filter(|name| !name.is_empty())
    }

    /// Whose the view is: none if it is everybody's, which an admin changes.
    fn owner(&self, asker: &Asker) -> Result<Option<StaffId>, Failure> {
        if self.shared == "1" {
            asker.staff.require(Role::Admin)?;
            return Ok(None);
        }
        Ok(Some(asker.staff.id))
    }
}

async fn show(data: &Data, asker: &Asker, form: &ViewForm, problem: Option<String>) -> Result<Response, Failure> {
    let search = Search::parse(&form.q).sorted(&form.sort);
    let sort = search.sort.map(|sort| sort.to_string()).unwrap_or_default();
    let views = data.store().views_of(asker.staff.id).await?;
    let views = views
        .into_iter()
        .map(|view| View {
            id: view.id.to_string(),
            href: Search::parse(&view.query).sorted(&view.sort).href(),
            shared: view.owner.is_none(),
            name: view.name,
            query: view.query,
        })
        .collect();
    let is_problem = problem.is_some();
    let page = Views {
        csrf: asker.staff.csrf.clone(),
        search: (!search.terms.is_empty() || search.sort.is_some()).then(|| (search.to_string(), sort)),
        name: form.name.clone(),
        problem,
        views,
        may_share: asker.staff.role >= Role::Admin,
    };
    let response = asker.show(data, Section::Sessions, "Your views", || page.view());
    Ok(if is_problem { (StatusCode::UNPROCESSABLE_ENTITY, response).into_response() } else { response })
}

pub(super) async fn page(
    State(data): State<Data>,
    asker: Asker,
    Query(Asked { q, sort }): Query<Asked>,
) -> Result<Response, Failure> {
    show(&data, &asker, &ViewForm { q, sort, ..ViewForm::default() }, None).await
}

/// Saves what was searched for, as it is meant.
pub(super) async fn save(
    State(data): State<Data>,
    asker: Asker,
    client: Client,
    Form(form): Form<ViewForm>,
) -> Result<Response, Failure> {
    let owner = form.owner(&asker)?;
    let search = Search::parse(&form.q).sorted(&form.sort);
    if let Some(problem) = search.problems.first() {
        return show(&data, &asker, &form, Some(problem.clone())).await;
    }
    let Some(name) = form.name() else {
        return show(&data, &asker, &form, Some("Give the view a name.".to_owned())).await;
    };
    let view = SavedView {
        id: ViewId::new(),
        owner,
        name: name.clone(),
        query: search.to_string(),
        sort: search.sort.map(|sort| sort.to_string()).unwrap_or_default(),
        created_at: data.now(),
    };
    let href = search.href();
    act(&data, &asker, &client, &form, ViewAct::Save(view), format!("saved {name}"), owner, href).await
}

pub(super) async fn rename(
    State(data): State<Data>,
    asker: Asker,
    client: Client,
    Path(id): Path<String>,
    Form(form): Form<ViewForm>,
) -> Result<Response, Failure> {
    let owner = form.owner(&asker)?;
    let id = ViewId::parse(&id).ok_or(Failure::Missing)?;
    let Some(name) = form.name() else {
        return show(&data, &asker, &ViewForm::default(), Some("Give the view a name.".to_owned())).await;
    };
    let what = format!("renamed {id} to {name}");
    act(&data, &asker, &client, &ViewForm::default(), ViewAct::Rename { id, owner, name }, what, owner, "/views".into())
        .await
}

pub(super) async fn remove(
    State(data): State<Data>,
    asker: Asker,
    client: Client,
    Path(id): Path<String>,
    Form(form): Form<ViewForm>,
) -> Result<Response, Failure> {
    let owner = form.owner(&asker)?;
    let id = ViewId::parse(&id).ok_or(Failure::Missing)?;
    let what = format!("removed {id}");
    act(&data, &asker, &client, &ViewForm::default(), ViewAct::Remove { id, owner }, what, owner, "/views".into()).await
}

/// Does it, with an entry in the audit if it is about everybody's.
#[expect(clippy::too_many_arguments, reason = "the three forms end in one place")]
async fn act(
    data: &Data,
    asker: &Asker,
    client: &Client,
    form: &ViewForm,
    act: ViewAct,
    what: String,
    owner: Option<StaffId>,
    to: String,
) -> Result<Response, Failure> {
    let entry = owner.is_none().then(|| NewAudit {
        at: data.now(),
        staff: asker.staff.name.clone(),
        action: AuditAction::ViewsChanged,
        subject: what,
        reason: None,
        address: Some(client.address.to_string()),
    });
    let problem = match data.store().view_act(act, entry).await? {
        Ok(()) => return Ok(Redirect::to(&to).into_response()),
        Err(ViewRefusal::Unknown) => return Err(Failure::Missing),
        Err(ViewRefusal::NameTaken) => "There is a view of that name. Choose another one.",
        Err(ViewRefusal::TooMany) => "There are 20 views, and no more are kept. Remove one that nobody needs.",
    };
    show(data, asker, form, Some(problem.to_owned())).await
}

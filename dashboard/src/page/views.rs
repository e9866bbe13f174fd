//! The views that somebody has of the list, to save, rename and remove.

use leptos::prelude::*;

use crate::part::card::{Card, soft};
use crate::part::icon::Icon;
use crate::part::mark::Mark;
use crate::part::notice::{Empty, Strip};
use crate::shell::Head;

/// The page.
#[derive(Clone, Debug)]
pub(crate) struct Views {
    pub(crate) csrf: String,
    /// What would be saved: the search and the order; none if there is nothing to save.
    pub(crate) search: Option<(String, String)>,
    /// The name as it was typed.
    pub(crate) name: String,
    pub(crate) problem: Option<String>,
    pub(crate) views: Vec<View>,
    /// Whether whoever looks may change everybody's.
    pub(crate) may_share: bool,
}

/// One that was saved.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) query: String,
    pub(crate) href: String,
    pub(crate) shared: bool,
}

impl Views {
    /// The page.
    pub(crate) fn view(self) -> AnyView {
        let Self { csrf, search, name, problem, views, may_share } = self;
        let problem = problem
            .map(|problem| view! { <Strip mark=Mark::Fault bold="Nothing was changed." text=problem alert=true/> });
        let save = search.map(|(query, sort)| save(csrf.clone(), query, sort, name, may_share));
        let (shared, own): (Vec<_>, Vec<_>) = views.into_iter().partition(|view| view.shared);
        let empty = || {
            let text = "Search for something in the list, and choose “Save this view” above it.";
            view! {
                <Empty icon=Icon::Search title="No view is saved" text=text acts=view! { <a class="b" href="/sessions">"Sessions"</a> }.into_any()/>
            }
            .into_any()
        };
        let own = if own.is_empty() { empty() } else { list(own, csrf.clone(), true) };
        let shared = (!shared.is_empty()).then(|| {
            let remark = soft(if may_share { "Changes are in the audit" } else { "Admins change these" });
            view! { <Card id="shared" title="Everybody’s" remark=remark>{list(shared, csrf, may_share)}</Card> }
        });
        view! {
            <Head title="Your views" text="Searches that stand above the list, by the names that you give them."/>
            <div class="stack">
                {problem}
                {save}
                <Card id="own" title="Your own">{own}</Card>
                {shared}
            </div>
        }
        .into_any()
    }
}

fn save(csrf: String, query: String, sort: String, name: String, may_share: bool) -> AnyView {
    let share = may_share.then(|| {
        view! { <label class="all"><input type="checkbox" class="check" name="shared" value="1"/>" for everybody"</label> }
    });
    let order = (!sort.is_empty()).then(|| format!(" (in the order {sort})"));
    view! {
        <Card id="save" title="Save this view">
            <form method="post" action="/views" class="pad saving">
                <input type="hidden" name="csrf" value=csrf/>
                <input type="hidden" name="q" value=query.clone()/>
                <input type="hidden" name="sort" value=sort/>
                <p class="note"><code>{query}</code>{order}</p>
                <div class="acts">
                    <label class="sr" for="view-name">"Name"</label>
                    <input class="in" id="view-name" name="name" value=name required maxlength="40" placeholder="Name of the view" autocomplete="off"/>
                    {share}
                    <button class="b primary">"Save"</button>
                </div>
            </form>
        </Card>
    }
    .into_any()
}

fn list(views: Vec<View>, csrf: String, may_change: bool) -> AnyView {
    let lines = views
        .into_iter()
        .map(|View { id, name, query, href, shared }| {
            let forms = may_change.then(|| {
                let shared = if shared { "1" } else { "" };
                let keeps = || {
                    view! {
                        <input type="hidden" name="csrf" value=csrf.clone()/>
                        <input type="hidden" name="shared" value=shared/>
                    }
                };
                let label = format!("New name of {name}");
                view! {
                    <form method="post" action=format!("/views/{id}/rename") class="acts">
                        {keeps()}
                        <input class="in" name="name" value=name.clone() required maxlength="40" aria-label=label autocomplete="off"/>
                        <button class="b">"Rename"</button>
                    </form>
                    <form method="post" action=format!("/views/{id}/remove")>
                        {keeps()}
                        <button class="b danger" aria-label=format!("Remove {name}")>"Remove"</button>
                    </form>
                }
            });
            view! {
                <li>
                    <div><a href=href>{name.clone()}</a><p class="mono">{query}</p></div>
                    {forms}
                </li>
            }
        })
        .collect_view();
    view! { <ul class="saved">{lines}</ul> }.into_any()
}

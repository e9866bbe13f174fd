//! Tables that become cards on a phone. Roles are written out, because `display: grid` takes them away.

use leptos::prelude::*;

use super::icon::Icon;

/// One column's head.
#[derive(Clone, Debug)]
pub(crate) struct Col {
    name: &'static str,
    num: bool,
    spoken: bool,
    ticks: bool,
    sort: Option<SortLink>,
}

/// How a column is sorted by.
#[derive(Clone, Debug)]
pub(crate) struct SortLink {
    /// Where it leads: the list in this order or, if it is in it, the other way round.
    pub(crate) href: String,
    /// Which way the list goes by this column now; none if it is sorted by another.
    pub(crate) now: Option<Way>,
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Up,
    Down,
}

impl Col {
    /// A column of words.
    pub(crate) const fn text(name: &'static str) -> Self {
        Self { name, num: false, spoken: false, ticks: false, sort: None }
    }

    /// A column of numbers, at the end of its space.
    pub(crate) const fn num(name: &'static str) -> Self {
        Self { name, num: true, spoken: false, ticks: false, sort: None }
    }

    /// A column whose head is for screen readers only.
    pub(crate) const fn spoken(name: &'static str) -> Self {
        Self { name, num: false, spoken: true, ticks: false, sort: None }
    }

    /// A column of boxes to tick.
    pub(crate) const fn ticks(name: &'static str) -> Self {
        Self { name, num: false, spoken: true, ticks: true, sort: None }
    }

    /// The same, with a link to sort by it where that can be done.
    pub(crate) fn sorted(self, sort: Option<SortLink>) -> Self {
        Self { sort, ..self }
    }

    fn view(self) -> AnyView {
        let class = match (self.ticks, self.num) {
            (true, _) => "box",
            (false, true) => "num",
            (false, false) => "",
        };
        let name =
            if self.spoken { view! { <span class="sr">{self.name}</span> }.into_any() } else { self.name.into_any() };
        let Some(SortLink { href, now }) = self.sort else {
            return view! { <th role="columnheader" scope="col" class=class>{name}</th> }.into_any();
        };
        let (sorted, icon) = match now {
            Some(Way::Up) => (Some("ascending"), Some(Icon::Up.view())),
            Some(Way::Down) => (Some("descending"), Some(Icon::Down.view())),
            None => (None, None),
        };
        view! {
            <th role="columnheader" scope="col" class=class aria-sort=sorted>
                <a href=href><span class="sr">"Sort by "</span>{name}" "{icon}</a>
            </th>
        }
        .into_any()
    }
}

/// A table.
#[component]
pub(crate) fn Table(#[prop(into)] caption: String, cols: Vec<Col>, rows: Vec<AnyView>) -> impl IntoView {
    let class = if cols.iter().any(|col| col.ticks) { "cards pick" } else { "cards" };
    view! {
        <div class="scroll">
            <table role="table" class=class>
                <caption class="sr">{caption}</caption>
                <thead role="rowgroup">
                    <tr role="row">{cols.into_iter().map(Col::view).collect_view()}</tr>
                </thead>
                <tbody role="rowgroup">{rows}</tbody>
            </table>
        </div>
    }
}

/// A row.
pub(crate) fn row(cells: Vec<AnyView>) -> AnyView {
    view! { <tr role="row">{cells}</tr> }.into_any()
}

/// A cell; the classes say where it stands on a phone: `lead`, `trail`, `third`, `half`, `nolab`, `hide`.
pub(crate) fn td(class: &'static str, content: impl IntoView + 'static) -> AnyView {
    view! { <td role="cell" class=class>{content}</td> }.into_any()
}

/// A cell that shows its label on a phone.
pub(crate) fn labelled(class: &'static str, label: &'static str, content: impl IntoView + 'static) -> AnyView {
    view! { <td role="cell" class=class data-l=label>{content}</td> }.into_any()
}

/// Two lines in one cell: the fact, and a second one about it.
pub(crate) fn two(first: impl IntoView + 'static, second: impl IntoView + 'static) -> AnyView {
    view! { <span class="two"><span>{first}</span><span>{second}</span></span> }.into_any()
}

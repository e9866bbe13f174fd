//! Tables that become cards on a phone. Roles are written out, because `display: grid` takes them away.

use leptos::prelude::*;

/// One column's head.
#[derive(Clone, Debug)]
pub(crate) struct Col {
    name: &'static str,
    num: bool,
    spoken: bool,
}

impl Col {
    /// A column of words.
    pub(crate) const fn text(name: &'static str) -> Self {
        Self { name, num: false, spoken: false }
    }

    /// A column of numbers, at the end of its space.
    pub(crate) const fn num(name: &'static str) -> Self {
        Self { name, num: true, spoken: false }
    }

    /// A column whose head is for screen readers only.
    pub(crate) const fn spoken(name: &'static str) -> Self {
        Self { name, num: false, spoken: true }
    }

    fn view(self) -> AnyView {
        let class = if self.num { "num" } else { "" };
        let name =
            if self.spoken { view! { <span class="sr">{self.name}</span> }.into_any() } else { self.name.into_any() };
        view! { <th role="columnheader" scope="col" class=class>{name}</th> }.into_any()
    }
}

/// A table.
#[component]
pub(crate) fn Table(#[prop(into)] caption: String, cols: Vec<Col>, rows: Vec<AnyView>) -> impl IntoView {
    view! {
        <div class="scroll">
            <table role="table" class="cards">
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

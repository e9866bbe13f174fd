//! A new password, by a link that an admin made.

use leptos::prelude::*;

use crate::part::mark::Mark;
use crate::part::notice::Strip;

/// The form.
#[derive(Clone, Debug)]
pub(crate) struct Reset {
    pub(crate) token: String,
    /// Whose password.
    pub(crate) name: String,
    pub(crate) problem: Option<(String, String)>,
}

impl Reset {
    /// The page.
    pub(crate) fn view(self) -> AnyView {
        let problem =
            self.problem.map(|(bold, text)| view! { <Strip mark=Mark::Fault bold=bold text=text alert=true/> });
        view! {
            <div class="card panel">
                <div><h1>"A new password"</h1><p class="small">{format!("For {}. Wherever you are signed in, you will be signed out.", self.name)}</p></div>
                {problem}
                <form class="stack" method="post" action=format!("/sign-in/reset/{}", self.token)>
                    <input type="hidden" name="username" value=self.name autocomplete="username"/>
                    <div class="field">
                        <label for="p">"New password"</label>
                        <input class="in" id="p" name="password" type="password" autocomplete="new-password" minlength="12" maxlength="256" required aria-describedby="p-h"/>
                        <p class="help" id="p-h">"At least 12 characters. A few words are fine."</p>
                    </div>
                    <button class="b primary wide">"Set the password"</button>
                </form>
            </div>
        }
        .into_any()
    }
}

//! Signing in, in two steps, and signing up by a one-time link.

use leptos::prelude::*;

use crate::part::icon::Icon;
use crate::part::mark::Mark;
use crate::part::notice::Strip;

/// The first step: name and password.
#[derive(Clone, Debug, Default)]
pub(crate) struct SignIn {
    /// The host in the browser's bar, so that people see where they are.
    pub(crate) host: String,
    /// Where to go after.
    pub(crate) next: Option<String>,
    /// The name as it was typed.
    pub(crate) name: String,
    /// What was wrong: a short sentence and what to do.
    pub(crate) problem: Option<(String, String)>,
    /// Something to know, such as having been signed out.
    pub(crate) notice: Option<(String, String)>,
    /// Whether a passkey can be used here.
    pub(crate) passkeys: bool,
    /// The provider by which one can sign in, if there is one.
    pub(crate) provider: Option<String>,
}

/// A form that a script sends when a passkey has answered the question of `path`. Without scripts it is not shown.
pub(crate) fn passkey_form(path: &'static str, next: Option<String>) -> AnyView {
    view! {
        <form class="stack" method="post" action=path data-passkey="get" data-question=format!("{path}/question") hidden>
            {next.map(|next| view! { <input type="hidden" name="next" value=next/> })}
            <input type="hidden" name="credential" value=""/>
            <p class="small" role="alert" data-problem hidden></p>
            <button class="b wide">{Icon::Key.view()}"Use a passkey"</button>
        </form>
        {passkey_script()}
    }
    .into_any()
}

/// The script behind forms of passkeys.
pub(crate) fn passkey_script() -> AnyView {
    view! { <script type="module" src=crate::assets::passkey_script()></script> }.into_any()
}

impl SignIn {
    /// The page.
    pub(crate) fn view(self) -> AnyView {
        let bad = self.problem.is_some().then_some("true");
        let passkey = self.passkeys.then(|| passkey_form("/sign-in/passkey", self.next.clone()));
        let provider = self.provider.map(|name| {
            let next = self.next.as_deref().map(crate::page::search::encode);
            let href =
                next.map_or_else(|| "/sign-in/provider".to_owned(), |next| format!("/sign-in/provider?next={next}"));
            view! { <a class="b wide" href=href>{Icon::Key.view()}{format!("Sign in with {name}")}</a> }
        });
        view! {
            <div class="card panel">
                <div><h1>"Sign in"</h1><p class="small">{format!("{}, for staff", self.host)}</p></div>
                {strip(Mark::Waiting, self.notice, false)}
                {strip(Mark::Fault, self.problem, true)}
                <form class="stack" method="post" action="/sign-in">
                    {self.next.map(|next| view! { <input type="hidden" name="next" value=next/> })}
                    <div class="field">
                        <label for="n">"Name"</label>
                        <input class="in" id="n" name="name" value=self.name autocomplete="username" autocapitalize="none" spellcheck="false" maxlength="64" required/>
                    </div>
                    <div class="field">
                        <label for="p">"Password"</label>
                        <input class="in" id="p" name="password" type="password" autocomplete="current-password" maxlength="256" required aria-invalid=bad/>
                    </div>
                    <button class="b primary wide">"Sign in"</button>
                </form>
                {passkey}
                {provider}
            </div>
            <p class="small">"First start? The backend printed a one-time link."<br/>"Forgotten the password? Any admin can send a new link."</p>
        }
        .into_any()
    }
}

/// The second step: a code or a passkey.
#[derive(Clone, Debug, Default)]
pub(crate) struct Code {
    pub(crate) next: Option<String>,
    pub(crate) problem: Option<(String, String)>,
    /// Whether an authenticator is set up. Recovery codes work in any case.
    pub(crate) codes: bool,
    /// Whether there is a passkey.
    pub(crate) passkeys: bool,
}

impl Code {
    /// The page.
    pub(crate) fn view(self) -> AnyView {
        let bad = self.problem.is_some().then_some("true");
        let (title, label, help) = if self.codes {
            ("Your code", "Code from your authenticator", "Six digits. A recovery code works too, once.")
        } else {
            ("Your passkey", "Recovery code", "If the passkey is not at hand. Each works once.")
        };
        let passkey = self.passkeys.then(|| passkey_form("/sign-in/code/passkey", self.next.clone()));
        view! {
            <div class="card panel">
                <div><h1>{title}</h1><p class="small">"The password is right. One thing more."</p></div>
                {strip(Mark::Fault, self.problem, true)}
                {passkey}
                <form class="stack" method="post" action="/sign-in/code">
                    {self.next.map(|next| view! { <input type="hidden" name="next" value=next/> })}
                    <div class="field">
                        <label for="t">{label}</label>
                        <input class="in mono" id="t" name="code" inputmode=self.codes.then_some("numeric") autocomplete="one-time-code" maxlength="24" required aria-describedby="t-h" aria-invalid=bad/>
                        <p class="help" id="t-h">{help}</p>
                    </div>
                    <button class="b primary wide">"Sign in"</button>
                </form>
            </div>
            <p class="small"><a href="/sign-in">"Start again"</a></p>
        }
        .into_any()
    }
}

/// Signing up by a link.
#[derive(Clone, Debug, Default)]
pub(crate) struct SignUp {
    pub(crate) token: String,
    /// The role that the link gives.
    pub(crate) role: String,
    pub(crate) name: String,
    pub(crate) problem: Option<(String, String)>,
    /// The secret for an authenticator, in Base32, and the link that opens one; where codes are to be set up.
    pub(crate) secret: Option<(String, String)>,
}

impl SignUp {
    /// The page.
    pub(crate) fn view(self) -> AnyView {
        let secret = self.secret.map(|(secret, uri)| {
            let groups: Vec<String> =
                secret.as_bytes().chunks(4).map(|group| String::from_utf8_lossy(group).into_owned()).collect();
            view! {
                <div class="or"><span>"Codes from an authenticator"</span></div>
                <p class="small">"Put this into your authenticator, or "<a href=uri>"open it there"</a>". Then type the code that it shows."</p>
                <p class="ev id">{groups.join(" ")}</p>
                <div class="field">
                    <label for="t">"Code"</label>
                    <input class="in mono" id="t" name="code" inputmode="numeric" autocomplete="one-time-code" maxlength="6" aria-describedby="t-h"/>
                    <p class="help" id="t-h">"Six digits. Leave it empty to do this later."</p>
                </div>
            }
        });
        view! {
            <div class="card panel">
                <div><h1>"Welcome to Pinger"</h1><p class="small">{format!("The link makes an account with the role {}. It works once.", self.role)}</p></div>
                {strip(Mark::Fault, self.problem, true)}
                <form class="stack" method="post" action=format!("/sign-up/{}", self.token)>
                    <div class="field">
                        <label for="n">"Name"</label>
                        <input class="in" id="n" name="name" value=self.name autocomplete="username" autocapitalize="none" spellcheck="false" maxlength="64" required aria-describedby="n-h"/>
                        <p class="help" id="n-h">"2 to 64 small letters, digits and . _ - @; it is in the audit."</p>
                    </div>
                    <div class="field">
                        <label for="p">"Password"</label>
                        <input class="in" id="p" name="password" type="password" autocomplete="new-password" minlength="12" maxlength="256" required aria-describedby="p-h"/>
                        <p class="help" id="p-h">"At least 12 characters. A few words are fine."</p>
                    </div>
                    {secret}
                    <button class="b primary wide">"Make the account"</button>
                </form>
            </div>
        }
        .into_any()
    }
}

/// Recovery codes, shown once.
pub(crate) fn recovery(codes: Vec<String>) -> AnyView {
    let codes = codes.into_iter().map(|code| view! { <li class="mono">{code}</li> }).collect_view();
    view! {
        <div class="card panel">
            <div><h1>"Recovery codes"</h1><p class="small">"Keep them where your phone is not. Each works once, in place of a code. They are not shown again."</p></div>
            <ul class="codes id">{codes}</ul>
            <a class="b primary wide" href="/">"They are kept, go on"</a>
        </div>
    }
    .into_any()
}

/// A link that does not work any more.
pub(crate) fn dead_link() -> AnyView {
    view! {
        <div class="card panel">
            <div><h1>"This link does not work"</h1><p class="small">"It was used, or its day is over. Any admin can send a new one."</p></div>
            <a class="b wide" href="/sign-in">{Icon::Key.view()}"Sign in"</a>
        </div>
    }
    .into_any()
}

fn strip(mark: Mark, text: Option<(String, String)>, alert: bool) -> Option<AnyView> {
    text.map(|(bold, text)| view! { <Strip mark=mark bold=bold text=text alert=alert/> }.into_any())
}

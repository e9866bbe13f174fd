//! One's own account: password, codes, recovery codes, where one is signed in.

use domain::Timestamp;
use leptos::prelude::*;

use crate::page::staff::SignIn;
use crate::part::card::{Card, soft};
use crate::part::format::{Time, counted, moment};
use crate::part::table::{Col, Table, labelled, row, td};
use crate::shell::Head;

/// What the page shows.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) now: Timestamp,
    pub(crate) name: String,
    pub(crate) role: &'static str,
    /// When the password was set, if there is one.
    pub(crate) password_since: Option<Timestamp>,
    pub(crate) has_authenticator: bool,
    pub(crate) recovery_left: usize,
    pub(crate) passkeys: Vec<Passkey>,
    /// Whether passkeys can be had by the name that the dashboard is open under.
    pub(crate) passkeys_work: bool,
    /// The provider by which one can sign in, if there is one.
    pub(crate) provider: Option<Provider>,
    pub(crate) sign_ins: Vec<SignIn>,
    pub(crate) csrf: String,
}

/// A passkey of one's own.
#[derive(Clone, Debug)]
pub(crate) struct Passkey {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) since: Timestamp,
    pub(crate) used: Option<Timestamp>,
}

/// The provider, and whether one is connected with it.
#[derive(Clone, Debug)]
pub(crate) struct Provider {
    pub(crate) name: String,
    pub(crate) connected: bool,
}

/// An authenticator that is being set up.
#[derive(Clone, Debug)]
pub(crate) struct Authenticator {
    /// The secret, to be typed.
    pub(crate) secret: String,
    /// The secret as a QR code: its size and its path.
    pub(crate) qr: Option<(usize, String)>,
    /// The secret, sealed, to come back with the form.
    pub(crate) offer: String,
    /// There is one already, which this one takes the place of.
    pub(crate) replaces: bool,
    pub(crate) csrf: String,
}

/// A field for the password that one has now.
fn current(id: &'static str) -> AnyView {
    view! {
        <div class="field">
            <label for=id>"Your present password"</label>
            <input class="in" id=id name="current" type="password" autocomplete="current-password" maxlength="256" required/>
        </div>
    }
    .into_any()
}

fn hidden(csrf: &str) -> AnyView {
    let csrf = csrf.to_owned();
    view! { <input type="hidden" name="csrf" value=csrf/> }.into_any()
}

impl Account {
    /// The page.
    pub(crate) fn view(self) -> AnyView {
        let Self { now, name, role, password_since, has_authenticator, recovery_left, sign_ins, csrf, .. } = self;
        let has_second = has_authenticator || !self.passkeys.is_empty();
        // Without a password there is nothing that could stand before a second factor, or guard a change of it.
        let own = password_since.map(|since| {
            view! {
                {password_card(&csrf, since, now)}
                {if has_authenticator { codes_card(&csrf) } else { no_codes_card() }}
                {passkeys_card(self.passkeys, self.passkeys_work, &csrf, now)}
                {has_second.then(|| recovery_card(&csrf, recovery_left))}
            }
        });
        let provider = self.provider.map(|provider| provider_card(provider, password_since.is_some(), &csrf));
        view! {
            <Head title="Your account" text=format!("{name}, {role}.")/>
            <div class="cols side">
                <div class="stack">{signed_in(sign_ins, &csrf, now)}</div>
                <div class="stack">{own}{provider}</div>
            </div>
        }
        .into_any()
    }
}

fn password_card(csrf: &str, since: Timestamp, now: Timestamp) -> AnyView {
    let hidden = hidden(csrf);
    let remark = view! { <span class="soft">"Set "<Time at=since text=moment(since, now)/></span> }.into_any();
    view! {
        <Card id="password" title="Password" remark=remark>
            <form class="pad stack" method="post" action="/account/password">
                {hidden}
                {current("current-p")}
                <div class="field">
                    <label for="new-p">"New password"</label>
                    <input class="in" id="new-p" name="password" type="password" autocomplete="new-password" minlength="12" maxlength="256" required aria-describedby="new-p-h"/>
                    <p class="help" id="new-p-h">"At least 12 characters. A few words are fine. Your other sign-ins end."</p>
                </div>
                <button class="b">"Change the password"</button>
            </form>
        </Card>
    }
    .into_any()
}

fn no_codes_card() -> AnyView {
    view! {
        <Card id="codes" title="Codes from an authenticator" remark=soft("Off")>
            <div class="pad stack">
                <p>"A code from your phone, besides the password, keeps out whoever learns the password."</p>
                <a class="b primary" href="/account/authenticator">"Set up codes"</a>
            </div>
        </Card>
    }
    .into_any()
}

fn codes_card(csrf: &str) -> AnyView {
    let hidden = hidden(csrf);
    view! {
        <Card id="codes" title="Codes from an authenticator" remark=soft("On")>
            <div class="pad stack"><p><a href="/account/authenticator">"Move to another phone"</a></p></div>
            <form class="pad stack" method="post" action="/account/authenticator/remove">
                {hidden}
                {current("current-c")}
                <button class="b">"Switch codes off"</button>
            </form>
        </Card>
    }
    .into_any()
}

fn recovery_card(csrf: &str, left: usize) -> AnyView {
    let hidden = hidden(csrf);
    let left = format!("{} left.", counted(u64::try_from(left).unwrap_or(0), "recovery code"));
    view! {
        <Card id="recovery" title="Recovery codes">
            <form class="pad stack" method="post" action="/account/recovery">
                {hidden}
                <p>{left}" Each signs you in once when phone and passkey are not at hand."</p>
                {current("current-r")}
                <button class="b">"Make new recovery codes"</button>
            </form>
        </Card>
    }
    .into_any()
}

fn passkeys_card(passkeys: Vec<Passkey>, work: bool, csrf: &str, now: Timestamp) -> AnyView {
    let remark = if passkeys.is_empty() { "Off" } else { "On" };
    let list = passkeys
        .into_iter()
        .map(|of| {
            let hidden = hidden(csrf);
            let used = match of.used {
                Some(at) => view! { "last used "<Time at=at text=moment(at, now)/> }.into_any(),
                None => "not used yet".into_any(),
            };
            let field = format!("current-{}", of.id);
            view! {
                <form class="pad stack" method="post" action="/account/passkeys/remove">
                    {hidden}
                    <input type="hidden" name="id" value=of.id/>
                    <p><b>{of.name.clone()}</b><br/><span class="soft">"registered "<Time at=of.since text=moment(of.since, now)/>", "{used}</span></p>
                    <div class="field">
                        <label for=field.clone()>"Your present password"</label>
                        <input class="in" id=field name="current" type="password" autocomplete="current-password" maxlength="256" required/>
                    </div>
                    <button class="b" aria-label=format!("Remove the passkey {}", of.name)>"Remove"</button>
                </form>
            }
        })
        .collect_view();
    let add = if work {
        let hidden = hidden(csrf);
        view! {
            <noscript><div class="pad"><p>"Registering a passkey needs scripts in the browser."</p></div></noscript>
            <form class="pad stack" method="post" action="/account/passkeys" data-passkey="create" data-question="/account/passkeys/question" hidden>
                {hidden}
                <input type="hidden" name="credential" value=""/>
                <p>"A passkey signs you in with a finger, a face or a PIN: after the password, or in its place. No copied page can ask for it."</p>
                <div class="field">
                    <label for="passkey-name">"What to call it"</label>
                    <input class="in" id="passkey-name" name="name" maxlength="64" placeholder="Laptop" autocomplete="off"/>
                </div>
                {current("current-k")}
                <p class="small" role="alert" data-problem hidden></p>
                <button class="b primary">"Register a passkey"</button>
            </form>
            {crate::page::sign_in::passkey_script()}
        }
        .into_any()
    } else {
        view! { <div class="pad"><p>"Passkeys need a host name. Open the dashboard by its name, such as localhost, and not by an address."</p></div> }
            .into_any()
    };
    view! { <Card id="passkeys" title="Passkeys" remark=soft(remark)>{list}{add}</Card> }.into_any()
}

fn provider_card(provider: Provider, has_password: bool, csrf: &str) -> AnyView {
    let Provider { name, connected } = provider;
    let body = match (connected, has_password) {
        (false, _) => view! {
            <div class="pad stack">
                <p>{format!("Connect your account with {name}, to sign in there instead of here.")}</p>
                <a class="b" href="/account/provider/connect">{format!("Connect with {name}")}</a>
            </div>
        }
        .into_any(),
        (true, false) => {
            view! { <div class="pad"><p>{format!("You sign in with {name}. There is no password here.")}</p></div> }
                .into_any()
        }
        (true, true) => {
            let hidden = hidden(csrf);
            view! {
                <form class="pad stack" method="post" action="/account/provider/disconnect">
                    {hidden}
                    <p>{format!("You can sign in with {name}.")}</p>
                    {current("current-o")}
                    <button class="b">"Disconnect"</button>
                </form>
            }
            .into_any()
        }
    };
    view! { <Card id="provider" title=name.clone() remark=soft(if connected { "Connected" } else { "Not connected" })>{body}</Card> }.into_any()
}

fn signed_in(sign_ins: Vec<SignIn>, csrf: &str, now: Timestamp) -> AnyView {
    let rows = sign_ins
        .into_iter()
        .map(|of| {
            let act = if of.is_this {
                view! { <span class="soft">"This one"</span> }.into_any()
            } else {
                let hidden = hidden(csrf);
                view! {
                    <form method="post" action="/account/sign-ins/end">
                        {hidden}
                        <input type="hidden" name="id" value=of.id/>
                        <button class="b" aria-label=format!("End the sign-in with {}", of.browser)>"End"</button>
                    </form>
                }
                .into_any()
            };
            row(vec![
                td("lead", of.browser),
                labelled("half", "Since", view! { <Time at=of.since text=moment(of.since, now)/> }),
                labelled("half", "Last seen", view! { <Time at=of.seen text=moment(of.seen, now)/> }),
                labelled("half", "From", view! { <span class="mono">{of.address}</span> }),
                td("nolab num", act),
            ])
        })
        .collect();
    let cols =
        vec![Col::text("With"), Col::text("Since"), Col::text("Last seen"), Col::text("From"), Col::spoken("End")];
    view! { <Card id="sign-ins" title="Where you are signed in"><Table caption="Your sign-ins" cols=cols rows=rows/></Card> }.into_any()
}

impl Authenticator {
    /// The page.
    pub(crate) fn view(self) -> AnyView {
        let Self { secret, qr, offer, replaces, csrf } = self;
        let hidden = hidden(&csrf);
        let qr = qr.map(|(size, path)| {
            view! {
                <svg class="qr" role="img" aria-label="QR code of the secret" viewBox=format!("0 0 {size} {size}") width="232" height="232" shape-rendering="crispEdges">
                    <rect width=size.to_string() height=size.to_string() fill="#fff"/>
                    <path d=path fill="#000"/>
                </svg>
            }
        });
        let text = if replaces {
            "The authenticator that you have now stops working when this one is set up."
        } else {
            "A code from your phone, besides the password, keeps out whoever learns the password."
        };
        view! {
            <Head title="Codes from an authenticator" text=text/>
            <div class="card narrow">
                <form class="pad stack" method="post" action="/account/authenticator">
                    {hidden}
                    <input type="hidden" name="offer" value=offer/>
                    <p>"Scan this with your authenticator, or type the letters into it."</p>
                    {qr}
                    <p class="ev id">{secret}</p>
                    <div class="field">
                        <label for="code">"The code that it shows"</label>
                        <input class="in mono" id="code" name="code" inputmode="numeric" autocomplete="one-time-code" maxlength="7" required/>
                    </div>
                    {current("current-a")}
                    <button class="b primary">"Set up codes"</button>
                    <p class="small"><a href="/">"Later"</a></p>
                </form>
            </div>
        }
        .into_any()
    }
}

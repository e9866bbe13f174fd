//! `pinger device`: what an app does, from a terminal. It is how a newcomer tries a server, and how tests drive one.

mod client;
mod error;
mod options;
mod output;
mod secret;
mod state;
mod trace;

use std::io::{self, Write as _};
use std::process::ExitCode;

use backend::vault::{self, Binding, Credential, Secret};
use proto::v1;

use self::client::Client;
use self::error::DeviceError;
pub(crate) use self::options::DeviceOptions;
use self::options::{DeferOptions, DeviceCommand, IdentityKey, Mechanism, RegisterOptions, Security, SeenMail};
use self::output::Output;
use self::state::{SessionToken, State};
use self::trace::Trace;
use crate::environment::Environment;

/// Does what was asked for, and tells what came of it.
pub(crate) fn run(options: DeviceOptions) -> ExitCode {
    let output = Output::new(options.json, Trace::new());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(carry_out(options, output)),
        Err(source) => Err(DeviceError::Runtime { source }),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where nothing can be written, the exit code still tells.
            let _ = output.error(&error);
            error.exit_code()
        }
    }
}

async fn carry_out(options: DeviceOptions, output: Output) -> Result<(), DeviceError> {
    let path = options.state;
    let trace = output.trace();
    match options.command {
        DeviceCommand::Register(register) => {
            let known = State::find(&path)?;
            let (state, session) = self::register(*register, known, output).await?;
            state.write(&path)?;
            output.registered(&session, &path)
        }
        DeviceCommand::Defer(options) => {
            let state = State::read(&path)?;
            let request = deferral(&state, &options);
            let session = Client::of_session(&state, trace).await?.defer(request).await?;
            output.deferred(&session, options.wait)
        }
        DeviceCommand::Stop => {
            let state = State::read(&path)?;
            Client::of_session(&state, trace).await?.stop(&state.session_id).await?;
            output.stopped(&state.session_id)
        }
        DeviceCommand::Status => {
            let state = State::read(&path)?;
            let session = Client::of_session(&state, trace).await?.session(&state.session_id).await?;
            output.session(&session)
        }
        DeviceCommand::Watch => {
            let state = State::read(&path)?;
            let mut watch = Client::of_session(&state, trace).await?.watch(&state.session_id).await?;
            while let Some(session) = watch.next().await? {
                output.watched(&session)?;
                if session.state() == v1::SessionState::Ended {
                    return Ok(());
                }
            }
            Err(DeviceError::StreamEnded)
        }
    }
}

async fn register(
    options: RegisterOptions,
    known: Option<State>,
    output: Output,
) -> Result<(State, v1::Session), DeviceError> {
    let environment = Environment::of_this_process();
    let app_key = secret::app_key(options.app_key_file.as_deref(), &environment)?;
    let pinned = pin(&options, known.as_ref())?;
    let ca = options.ca.as_deref().map(std::path::absolute).transpose();
    let ca = ca.map_err(|source| DeviceError::Runtime { source })?;
    let credential = credential(&options, &environment)?;

    let mut client = Client::of_app(&options.server, ca.as_deref(), &app_key, output.trace()).await?;
    let (keys, identity) = client.sealing_keys(pinned).await?;
    if pinned.is_none() {
        output.trusted(&state::encode_key(&identity))?;
    }
    // The set is never empty: that was checked with its signature.
    let key = keys.keys.first().ok_or(DeviceError::NoSession)?;
    let port = options.imap_port.unwrap_or(match options.security {
        Security::Tls => 993,
        Security::Starttls => 143,
    });
    let binding = Binding::new(&options.user, &options.device, &options.context, &options.imap_host, port);
    let sealed = vault::seal(key, &binding, &credential)?;
    drop(credential);
    let response = client.register(registration(&options, port, sealed)).await?;
    let session = response.session.ok_or(DeviceError::NoSession)?;
    let state = State {
        server: options.server,
        ca,
        identity_key: state::encode_key(&identity),
        session_id: response.session_id,
        session_token: SessionToken(response.session_token),
    };
    Ok((state, session))
}

/// The identity key that must have signed: the one that was given, or the one that was trusted before at this server.
/// None means that the first one is trusted.
fn pin(options: &RegisterOptions, known: Option<&State>) -> Result<Option<[u8; 32]>, DeviceError> {
    if let Some(IdentityKey(key)) = options.identity {
        return Ok(Some(key));
    }
    let known = known.filter(|known| known.server == options.server);
    match known.and_then(|known| state::decode_key(&known.identity_key)) {
        Some(key) => Ok(Some(key)),
        None if options.trust_first_use => Ok(None),
        None => Err(DeviceError::Usage(
            "no identity key is pinned: give --identity with what `pinger keys show` prints at the server, or \
             --trust-first-use"
                .into(),
        )),
    }
}

fn credential(options: &RegisterOptions, environment: &Environment) -> Result<Credential, DeviceError> {
    let (prompt, wrap): (_, fn(_) -> _) = match options.mechanism {
        Mechanism::Plain | Mechanism::Login | Mechanism::ScramSha256 | Mechanism::Auto => {
            ("Password", Secret::Password)
        }
        Mechanism::Xoauth2 | Mechanism::Oauthbearer => ("Access token", Secret::AccessToken),
    };
    let secret = secret::password(options.password_file.as_deref(), environment, prompt)?;
    Ok(Credential { username: options.username.clone().into(), secret: wrap(secret) })
}

fn registration(options: &RegisterOptions, port: u16, sealed: domain::SealedBox) -> v1::RegisterRequest {
    let push = &options.push;
    v1::RegisterRequest {
        user_id: options.user.clone(),
        device: Some(v1::Device {
            device_id: options.device.clone(),
            platform: options.platform.into(),
            os_version: String::new(),
            app_version: concat!("pinger ", env!("CARGO_PKG_VERSION")).to_owned(),
        }),
        context: options.context.clone(),
        push_target: Some(v1::PushTarget {
            service: Some(v1::push_target::Service::Apns(v1::ApnsTarget {
                token: push.apns_token.clone(),
                topic: push.apns_topic.clone(),
                environment: push.apns_environment.into(),
                push_type: push.apns_push_type.into(),
            })),
        }),
        mail_target: Some(v1::MailTarget {
            server: Some(v1::mail_target::Server::Imap(v1::ImapTarget {
                host: options.imap_host.clone(),
                port: port.into(),
                security: options.security.into(),
                mailbox: options.mailbox.clone(),
                mechanism: options.mechanism.into(),
            })),
        }),
        credential: Some(v1::SealedCredential {
            key_id: sealed.key_id.to_string(),
            encapsulated_key: sealed.encapsulated_key.to_vec().into(),
            ciphertext: sealed.ciphertext.into(),
        }),
        timings: Some(v1::Timings {
            wait_before_use: options.wait.map(seconds),
            response_timeout: options.response_timeout.map(seconds),
            lifetime: options.lifetime.map(seconds),
        }),
        baseline: options.baseline.map(|SeenMail(baseline)| baseline),
    }
}

fn deferral(state: &State, options: &DeferOptions) -> v1::DeferRequest {
    v1::DeferRequest {
        session_id: state.session_id.clone(),
        wait: Some(seconds(options.wait)),
        baseline: options.baseline.map(|SeenMail(baseline)| baseline),
        push_target: None,
    }
}

fn seconds(seconds: u32) -> prost_types::Duration {
    prost_types::Duration { seconds: seconds.into(), nanos: 0 }
}

/// Writes a line at once: whoever waits for it reads a pipe.
fn print_line(text: &str) -> Result<(), DeviceError> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|source| DeviceError::Output { source })
}

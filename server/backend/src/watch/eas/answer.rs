//! What an answer means: nothing new, something new, or a failure (MS-ASHTTP 2.2.2, MS-ASCMD 2.2.3.177).

use domain::{EasCommand, EasUrl, Evidence, Failure, FailureCode, Poll};

use super::http::Response;
use super::wbxml::{Malformed, Reader, Tag, Token};

/// Code page 13.
const PING: Tag = (13, 0x05);
const PING_STATUS: Tag = (13, 0x07);

/// Code page 0, AirSync.
const SYNC: Tag = (0, 0x05);
const SYNC_STATUS: Tag = (0, 0x0e);
const COLLECTIONS: Tag = (0, 0x1c);
const COLLECTION: Tag = (0, 0x0f);
const COMMANDS: Tag = (0, 0x16);
const MORE_AVAILABLE: Tag = (0, 0x14);

/// What an answer means for the watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The poll has come to something.
    Poll(Poll),
    /// The account has a server of its own (451).
    Moved(EasUrl),
}

/// Sorts an answer.
///
/// # Errors
/// `LOGIN_REFUSED`, `ACCESS_DENIED`, `PROVISION_NEEDED`, `REQUEST_REFUSED`, `THROTTLED`, `SERVER_ERROR`, `NOT_ACTIVESYNC`,
/// `REDIRECT_REFUSED`, `FLOOD_REFUSED`. The evidence is the numbers alone: servers like to name the account in their words.
pub(super) fn meaning(response: &Response, command: EasCommand, no_change_body: &[u8]) -> Result<Meaning, Failure> {
    let status = response.status;
    let failed = |code| {
        let mut failure = Failure::new(code, Evidence::redact(&format!("HTTP {status}"), None));
        failure.retry_after = response.retry_after;
        failure
    };
    match status {
        200 => match document(response, command, no_change_body) {
            Ok(poll) => Ok(Meaning::Poll(poll)),
            Err(Wrong::Status(number)) => {
                let evidence = format!("HTTP 200, {} status {number}", command.as_str());
                Err(Failure::new(of_status(command, number), Evidence::redact(&evidence, None)))
            }
            Err(Wrong::NotActiveSync) if response.cut => Err(failed(FailureCode::FloodRefused)),
            Err(Wrong::NotActiveSync) => Err(failed(FailureCode::NotActiveSync)),
        },
        451 => match response.location.as_deref().map(EasUrl::parse) {
            Some(Ok(url)) => Ok(Meaning::Moved(url)),
            _ => Err(failed(FailureCode::RedirectRefused)),
        },
        401 => Err(failed(FailureCode::LoginRefused)),
        403 => Err(failed(FailureCode::AccessDenied)),
        449 => Err(failed(FailureCode::ProvisionNeeded)),
        429 | 503 | 507 => Err(failed(FailureCode::Throttled)),
        300..=399 => Err(failed(FailureCode::RedirectRefused)),
        500..=599 => Err(failed(FailureCode::ServerError)),
        _ => Err(failed(FailureCode::NotActiveSync)),
    }
}

enum Wrong {
    Status(u32),
    NotActiveSync,
}

impl From<Malformed> for Wrong {
    fn from(_: Malformed) -> Self {
        Self::NotActiveSync
    }
}

fn document(response: &Response, command: EasCommand, no_change_body: &[u8]) -> Result<Poll, Wrong> {
    let body = response.body.as_slice();
    if !response.cut && body == no_change_body {
        return Ok(Poll::Unchanged);
    }
    match command {
        // MS-ASCMD 2.2.1.21: an empty answer says that nothing changed.
        EasCommand::Sync if body.is_empty() && !response.cut => Ok(Poll::Unchanged),
        EasCommand::Sync => sync(body),
        EasCommand::Ping => ping(body),
    }
}

fn ping(body: &[u8]) -> Result<Poll, Wrong> {
    match scan(body, PING, |path| path == [PING, PING_STATUS])? {
        Scan { whole: false, .. } => Err(Wrong::NotActiveSync),
        Scan { status: Some(1), .. } => Ok(Poll::Unchanged),
        Scan { status: Some(2), .. } => Ok(Poll::Changed),
        Scan { status: Some(number), .. } => Err(Wrong::Status(number)),
        Scan { status: None, .. } => Err(Wrong::NotActiveSync),
    }
}

fn sync(body: &[u8]) -> Result<Poll, Wrong> {
    let is_status = |path: &[Tag]| path == [SYNC, SYNC_STATUS] || path == [SYNC, COLLECTIONS, COLLECTION, SYNC_STATUS];
    match scan(body, SYNC, is_status)? {
        Scan { status: Some(number), .. } if number != 1 => Err(Wrong::Status(number)),
        // More than we keep is more than nothing; and whoever has commands has changes.
        Scan { changes: true, .. } => Ok(Poll::Changed),
        Scan { whole: false, .. } | Scan { status: None, .. } => Err(Wrong::NotActiveSync),
        Scan { .. } => Ok(Poll::Unchanged),
    }
}

/// What was found in a document, up to its end or to where it is cut.
#[derive(Default)]
struct Scan {
    /// The first status that is not 1, else the first one.
    status: Option<u32>,
    changes: bool,
    whole: bool,
}

fn scan(body: &[u8], root: Tag, is_status: impl Fn(&[Tag]) -> bool) -> Result<Scan, Wrong> {
    let mut reader = Reader::new(body)?;
    let mut path: Vec<Tag> = Vec::new();
    let mut found = Scan::default();
    loop {
        match reader.next() {
            Ok(Some(Token::Open(tag))) => {
                path.push(tag);
                if path[0] != root {
                    return Err(Wrong::NotActiveSync);
                }
                found.changes |= path == [SYNC, COLLECTIONS, COLLECTION, COMMANDS];
            }
            Ok(Some(Token::Close)) => {
                path.pop();
            }
            Ok(Some(Token::Text(text))) if is_status(&path) => {
                let number = std::str::from_utf8(text).ok().and_then(|text| text.trim().parse().ok());
                let number: u32 = number.ok_or(Wrong::NotActiveSync)?;
                if found.status.is_none_or(|status| status == 1) {
                    found.status = Some(number);
                }
            }
            Ok(Some(Token::Text(_))) => {}
            Ok(Some(Token::Empty(tag))) => {
                if path.is_empty() {
                    return Err(Wrong::NotActiveSync);
                }
                found.changes |= tag == MORE_AVAILABLE && path == [SYNC, COLLECTIONS, COLLECTION];
            }
            Ok(None) => {
                found.whole = true;
                return Ok(found);
            }
            // What came before the cut is true all the same.
            Err(Malformed) if found.status.is_some() => return Ok(found),
            Err(malformed) => return Err(malformed.into()),
        }
    }
}

/// What a status means. From 101 on they are common to all commands (MS-ASCMD 2.2.2).
const fn of_status(command: EasCommand, status: u32) -> FailureCode {
    match (command, status) {
        (EasCommand::Ping, 8) | (EasCommand::Sync, 5 | 16) | (_, 110 | 111) => FailureCode::ServerError,
        (_, 126..=131 | 177) => FailureCode::AccessDenied,
        (_, 139..=145) => FailureCode::ProvisionNeeded,
        // Ping 3 to 7: parameters, syntax, heartbeat or number of folders out of bounds, folders to be synced first. Sync 3
        // and on: the key, the protocol, the folders. Only the device can make another request.
        _ => FailureCode::RequestRefused,
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;

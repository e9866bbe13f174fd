//! Requests and answers of Ping and Sync (MS-ASCMD 2.2.1.13 and 2.2.1.21).

use std::time::Duration;

use super::wbxml::{Element, Tag, decode, encode};

const PING: Tag = (13, 0x05);
const PING_STATUS: Tag = (13, 0x07);
const PING_HEARTBEAT: Tag = (13, 0x08);
const FOLDERS: Tag = (13, 0x09);
const FOLDER: Tag = (13, 0x0a);
const ID: Tag = (13, 0x0b);
const CLASS: Tag = (13, 0x0c);

const SYNC: Tag = (0, 0x05);
const ADD: Tag = (0, 0x07);
const SYNC_KEY: Tag = (0, 0x0b);
const SERVER_ID: Tag = (0, 0x0d);
const SYNC_STATUS: Tag = (0, 0x0e);
const COLLECTION: Tag = (0, 0x0f);
const COLLECTION_ID: Tag = (0, 0x12);
const COMMANDS: Tag = (0, 0x16);
const COLLECTIONS: Tag = (0, 0x1c);
const SYNC_HEARTBEAT: Tag = (0, 0x29);

/// A Ping that waits for `heartbeat` for news of the inbox.
pub fn ping_request(heartbeat: Duration) -> Vec<u8> {
    let folder = Element::with(FOLDER, vec![Element::text(ID, "5"), Element::text(CLASS, "Email")]);
    let heartbeat = Element::text(PING_HEARTBEAT, &heartbeat.as_secs().to_string());
    encode(&Element::with(PING, vec![heartbeat, Element::with(FOLDERS, vec![folder])]))
}

/// The answer to a Ping, with the folders that have changes.
pub fn ping_answer(status: u32, folders: &[&str]) -> Vec<u8> {
    let mut children = vec![Element::text(PING_STATUS, &status.to_string())];
    if !folders.is_empty() {
        children.push(Element::with(FOLDERS, folders.iter().map(|id| Element::text(FOLDER, id)).collect()));
    }
    encode(&Element::with(PING, children))
}

/// A Sync that waits for `heartbeat` for news of the inbox since `key`.
pub fn sync_request(key: u64, heartbeat: Duration) -> Vec<u8> {
    let collection = vec![Element::text(SYNC_KEY, &key.to_string()), Element::text(COLLECTION_ID, "5")];
    let collections = Element::with(COLLECTIONS, vec![Element::with(COLLECTION, collection)]);
    let heartbeat = Element::text(SYNC_HEARTBEAT, &heartbeat.as_secs().to_string());
    encode(&Element::with(SYNC, vec![collections, heartbeat]))
}

/// The answer to a Sync: its own status, its collection's, and a mail if there are changes.
pub fn sync_answer(status: u32, collection: u32, changes: bool) -> Vec<u8> {
    let text = |tag, number: u32| Element::text(tag, &number.to_string());
    let mut inbox = vec![text(SYNC_KEY, 2), Element::text(COLLECTION_ID, "5"), text(SYNC_STATUS, collection)];
    if changes {
        let add = Element::with(ADD, vec![Element::text(SERVER_ID, "5:1")]);
        inbox.push(Element::with(COMMANDS, vec![add]));
    }
    let collections = Element::with(COLLECTIONS, vec![Element::with(COLLECTION, inbox)]);
    encode(&Element::with(SYNC, vec![text(SYNC_STATUS, status), collections]))
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// News of any folder.
    Ping,
    /// News since this key.
    Sync {
        /// The number of mails that the device has synced, as this server has it.
        key: u64,
    },
}

/// Reads a request and how long it may wait.
pub fn read_request(body: &[u8]) -> Option<(Asked, Duration)> {
    let root = decode(body)?;
    let seconds = |tag| root.child(tag)?.text.as_deref()?.parse().ok().map(Duration::from_secs);
    match root.tag {
        PING => Some((Asked::Ping, seconds(PING_HEARTBEAT)?)),
        SYNC => {
            let key = root.child(COLLECTIONS)?.child(COLLECTION)?.child(SYNC_KEY)?.text.as_deref()?.parse().ok()?;
            Some((Asked::Sync { key }, seconds(SYNC_HEARTBEAT)?))
        }
        _ => None,
    }
}

//! The audit: its chain, its page, its file.

use domain::Timestamp;
use std::process::Command;
use store::{AuditAction, AuditCheck, AuditFault, AuditFilter, AuditStart, NewAudit};

use crate::support::World;

fn entry(number: u64, staff: &str) -> NewAudit {
    NewAudit {
        at: Timestamp::from_millis(1_800_000_000_000 + i64::try_from(number).unwrap()),
        staff: staff.to_owned(),
        action: if number.is_multiple_of(2) { AuditAction::SessionViewed } else { AuditAction::PingForced },
        subject: format!("subject-{number}"),
        reason: None,
        address: None,
    }
}

const UNLOCK: &str = "DROP TRIGGER IF EXISTS audit_is_not_updated; DROP TRIGGER IF EXISTS audit_is_not_deleted;";

async fn filled(entries: u64) -> World {
    let world = World::new().await;
    let writes = (1..=entries).map(|number| world.store.audit(entry(number, "kim")));
    for written in futures_util::future::join_all(writes).await {
        written.unwrap();
    }
    world
}

#[tokio::test]
async fn the_chain_is_whole_however_many_write_at_once() {
    let world = filled(2_500).await;
    let AuditCheck::Whole { entries, hash, .. } = world.store.verify_audit().await.unwrap() else { panic!("broken") };
    assert_eq!((entries, hash.len()), (2_500, 64));
    let empty = World::new().await;
    assert!(matches!(empty.store.verify_audit().await.unwrap(), AuditCheck::Whole { entries: 0, .. }));
}

#[tokio::test]
async fn entries_can_not_be_changed_by_mistake() {
    let world = filled(3).await;
    for sql in ["UPDATE audit SET reason = 'x' WHERE seq = 2", "DELETE FROM audit"] {
        let script = format!(
            "import sqlite3, sys\ntry:\n  sqlite3.connect(sys.argv[1]).execute(\"{sql}\")\nexcept sqlite3.IntegrityError as e:\n  print(e)"
        );
        let file = world.folder.path().join("pinger.db");
        let output = Command::new("python3").args(["-c", &script]).arg(file).output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains("append-only"), "{output:?}");
    }
}

#[tokio::test]
async fn tampering_is_found_where_it_is() {
    for (sql, seq, fault) in [
        ("UPDATE audit SET staff = 'eve' WHERE seq = 7", 7, AuditFault::Changed),
        ("UPDATE audit SET reason = '' WHERE seq = 7", 7, AuditFault::Changed),
        ("UPDATE audit SET address = '192.0.2.1' WHERE seq = 1", 1, AuditFault::Changed),
        ("UPDATE audit SET at = at + 1 WHERE seq = 20", 20, AuditFault::Changed),
        ("UPDATE audit SET action = 'session_viewed' WHERE seq = 7", 7, AuditFault::Changed),
        ("UPDATE audit SET hash = replace(hash, substr(hash, 1, 1), 'g') WHERE seq = 7", 7, AuditFault::Changed),
        ("UPDATE audit SET prev_hash = hash WHERE seq = 7", 7, AuditFault::Unlinked),
        ("DELETE FROM audit WHERE seq = 7", 7, AuditFault::Missing),
        ("DELETE FROM audit WHERE seq < 7", 1, AuditFault::Missing),
        ("DELETE FROM audit WHERE seq = 7; UPDATE audit SET seq = seq - 1 WHERE seq > 7", 7, AuditFault::Unlinked),
        (
            "UPDATE audit SET seq = 99 WHERE seq = 7; UPDATE audit SET seq = 7 WHERE seq = 8; UPDATE audit SET seq = 8 WHERE seq = 99",
            7,
            AuditFault::Unlinked,
        ),
        (
            "INSERT INTO audit SELECT 0, at, staff, action, subject, reason, address, prev_hash, hash FROM audit WHERE seq = 1",
            0,
            AuditFault::Unlinked,
        ),
    ] {
        let world = filled(20).await;
        world.tamper(&format!("{UNLOCK} {sql};"));
        assert_eq!(world.store.verify_audit().await.unwrap(), AuditCheck::Broken { seq, fault }, "{sql}");
    }
    // The end cut off: the chain is whole, and its head is not the one that was noted.
    let world = filled(20).await;
    let AuditCheck::Whole { hash: noted, .. } = world.store.verify_audit().await.unwrap() else { panic!("broken") };
    world.tamper(&format!("{UNLOCK} DELETE FROM audit WHERE seq > 15;"));
    let AuditCheck::Whole { entries, hash, .. } = world.store.verify_audit().await.unwrap() else { panic!("broken") };
    assert!(entries == 15 && hash != noted);
}

#[tokio::test]
async fn it_is_read_page_by_page() {
    let world = filled(120).await;
    let all = AuditFilter::default();
    let page = async |start| world.store.audit_page(&all, start, 50).await.unwrap();
    let first = page(AuditStart::Newest).await;
    assert_eq!((first.entries[0].seq, first.entries.len(), first.newer), (120, 50, None));
    let second = page(AuditStart::OlderThan(first.older.unwrap())).await;
    assert_eq!((second.entries[0].seq, second.entries.len()), (70, 50));
    let third = page(AuditStart::OlderThan(second.older.unwrap())).await;
    assert_eq!((third.entries.len(), third.entries[19].seq, third.older), (20, 1, None));
    let back = page(AuditStart::NewerThan(third.newer.unwrap())).await;
    assert_eq!(back.entries, second.entries);
    let back = page(AuditStart::NewerThan(back.newer.unwrap())).await;
    assert_eq!((back.entries, back.newer), (first.entries, None));

    world.store.audit(entry(500, "amara")).await.unwrap();
    let found = async |filter: AuditFilter| {
        world.store.audit_page(&filter, AuditStart::Newest, 500).await.unwrap().entries.len()
    };
    assert_eq!(found(AuditFilter { staff: Some("amara".to_owned()), ..all.clone() }).await, 1);
    assert_eq!(found(AuditFilter { action: Some(AuditAction::PingForced), ..all.clone() }).await, 60);
    assert_eq!(found(AuditFilter { subject: Some("subject-7".to_owned()), ..all.clone() }).await, 1);
    let since = Some(Timestamp::from_millis(1_800_000_000_111));
    assert_eq!(found(AuditFilter { since, ..all.clone() }).await, 11);
    assert_eq!(found(AuditFilter { since, staff: Some("kim".to_owned()), ..all.clone() }).await, 10);
}

#[tokio::test]
async fn it_is_shown_filtered_and_checked() {
    let world = filled(120).await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    let page = kim.get("/audit").await;
    page.is(200, "Signed in");
    let older = page.text.split("href=\"/audit?older=").nth(1).unwrap().split('"').next().unwrap().to_owned();
    kim.get(&format!("/audit?older={older}")).await.is(200, "subject-70");
    let page = kim.get("/audit?subject=subject-7").await;
    page.is(200, "subject-7");
    assert!(!page.text.contains("subject-70"));
    kim.post("/audit/check", &[]).await.leads_to("/audit");
    kim.get("/audit").await.is(200, "The chain is whole.");
    let page = kim.get("/audit").await;
    page.is(200, "All 123 entries were checked at");
    page.is(200, "Check the chain");
    // Whoever may look at it and not have it checked gets no button, and is refused.
    let mut amara = server.colleague(&mut kim, "support", "amara").await;
    let page = amara.get("/audit").await;
    page.is(200, "The chain is whole.");
    assert!(!page.text.contains("Check the chain"));
    assert_eq!(amara.post("/audit/check", &[]).await.status, 403);
    world.pass(std::time::Duration::from_secs(1));
    world.tamper(&format!("{UNLOCK} UPDATE audit SET staff = 'eve' WHERE seq = 7;"));
    kim.post("/audit/check", &[]).await.leads_to("/audit");
    kim.get("/audit").await.is(200, "The chain is broken.");
    kim.get("/audit").await.is(200, "Entry 7 was changed after it was written");
    kim.get("/audit").await.is(200, "The 6 entries before it are as they were written.");
}

#[tokio::test]
async fn the_file_has_all_of_it_and_no_formula() {
    let world = filled(1_200).await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    let risky = NewAudit { reason: Some("=HYPERLINK(\"http://evil.example\")".to_owned()), ..entry(9, "+kim") };
    world.store.audit(risky).await.unwrap();
    let page = kim.get("/audit.csv").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.headers["content-type"], "text/csv; charset=utf-8");
    assert!(page.headers["content-disposition"].to_str().unwrap().starts_with("attachment"));
    let lines: Vec<&str> = page.text.split("\r\n").collect();
    assert_eq!(lines[0], "seq,at,staff,action,subject,reason,address,hash");
    // With whoever signed up, the risky one, and the export itself.
    assert_eq!(lines.len(), 1 + 1_205 + 1, "{}", lines[1]);
    assert!(lines[1].contains("\"exported\""));
    assert!(
        lines[2].contains("\"'+kim\"") && lines[2].contains("\"'=HYPERLINK(\"\"http://evil.example\"\")\""),
        "{}",
        lines[2]
    );
    let filtered = kim.get("/audit.csv?subject=subject-7").await;
    assert_eq!(filtered.text.lines().count(), 2);
}

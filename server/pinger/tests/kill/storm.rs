//! Phones register and mail comes, while processes are killed at random.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use peers::dovecot::{Dovecot, DovecotOptions, User};
use proto::v1;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::harness::{Account, Phone, Server, World, gateway_of, now, reason};

const USERS: usize = 10;
const PHONES: usize = 50;
const MAILS: usize = 50;

/// Registrations and mails are spread over this.
const STORM: Duration = Duration::from_secs(15);

/// How long a phone waits for an answer.
const CALL: Duration = Duration::from_secs(5);

/// How long what is to come may take once the storm is over. Phones that never answer wait for their hold.
const CALM: Duration = Duration::from_secs(40);

/// How soon each session is watched again after a restart.
const SECONDS: Duration = Duration::from_secs(10);

/// A mail as it was delivered.
#[derive(Clone, Copy, Debug)]
struct Mail {
    uid: u32,
    begun: Instant,
    done: Instant,
}

/// How a phone lives after it has registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// It answers each push, with what it has read.
    Answers,
    /// It never says a word.
    Sleeps,
    /// It stops some time later.
    Stops,
}

/// What is known of a phone's session.
#[derive(Clone, Debug, Default)]
struct Facts {
    acknowledged: Option<Instant>,
    /// From this UID on, mail is new to it.
    new_from: Option<u32>,
    /// Below this UID it has read all mail, whatever push woke it.
    read_to: u32,
    /// When it had stopped, in milliseconds since 1970.
    stopped_ms: Option<i64>,
}

struct Resident {
    user: usize,
    manner: Manner,
    /// Registers after this.
    delay: Duration,
    phone: RefCell<Phone>,
    facts: RefCell<Facts>,
    retries: Cell<u32>,
}

struct Storm<'a> {
    world: &'a World,
    uid_validity: Vec<u32>,
    mails: RefCell<Vec<Vec<Mail>>>,
    over: CancellationToken,
}

fn user(number: usize) -> String {
    format!("user{number}")
}

/// Whether a phone tries again: the server said so, or said nothing.
fn worth_another_try(status: &Status) -> bool {
    matches!(reason(status).as_str(), "" | "BACKEND_UNAVAILABLE")
}

impl Resident {
    /// Calls until there is an answer, as apps do.
    async fn insist<T>(&self, what: &str, mut call: impl AsyncFnMut() -> Result<T, Status>) -> T {
        for _ in 0..200 {
            match timeout(CALL, call()).await {
                Ok(Ok(answer)) => return answer,
                Ok(Err(status)) => assert!(worth_another_try(&status), "{what}: {status:?}"),
                Err(_) => {}
            }
            self.retries.set(self.retries.get() + 1);
            sleep(Duration::from_millis(rand::random_range(30..200))).await;
        }
        panic!("{what}: no answer");
    }

    async fn live(&self, storm: &Storm<'_>) {
        sleep(self.delay).await;
        let mut phone = self.phone.borrow().clone();
        let answer = self.insist("register", async || phone.register().await).await;
        assert_eq!(answer.session_id, phone.session);
        *self.phone.borrow_mut() = phone.clone();
        self.facts.borrow_mut().acknowledged = Some(Instant::now());
        let given = phone.request.baseline.map(|baseline| baseline.uid_next);
        let new_from = match given {
            Some(uid_next) => uid_next,
            None => loop {
                let session = self.insist("status", async || phone.status().await).await;
                if let Some(baseline) = session.baseline {
                    break baseline.uid_next;
                }
                if storm.over.is_cancelled() {
                    return;
                }
                sleep(Duration::from_millis(50)).await;
            },
        };
        self.facts.borrow_mut().new_from = Some(new_from);
        match self.manner {
            Manner::Answers => {
                storm.over.run_until_cancelled(self.answer(storm, &phone)).await;
            }
            Manner::Sleeps => {}
            Manner::Stops => {
                sleep(Duration::from_millis(rand::random_range(500..4000))).await;
                self.insist("stop", async || phone.stop().await).await;
                self.facts.borrow_mut().stopped_ms = Some(now().as_millis());
            }
        }
    }

    /// Wakes on each push, reads the mailbox, and says how far it has read.
    async fn answer(&self, storm: &Storm<'_>, phone: &Phone) {
        let token = phone.push_token();
        let mut woken = 0;
        loop {
            let pushes =
                storm.world.apns.wait_for_count(Duration::MAX / 4, woken + 1, |push| push.token == token).await;
            woken = pushes.unwrap().len();
            // The last call may have taken a while: what came in since the push is read as well, and owed no more.
            let seen = self.read(storm);
            self.insist("defer", async || phone.defer_with(seen.clone()).await).await;
        }
    }

    /// What a phone says that has read its mailbox.
    fn read(&self, storm: &Storm<'_>) -> v1::DeferRequest {
        let seen = storm.baseline(self.user);
        self.facts.borrow_mut().read_to = seen.uid_next;
        v1::DeferRequest {
            wait: Some(prost_types::Duration { seconds: 0, nanos: 0 }),
            baseline: Some(seen),
            ..Default::default()
        }
    }

    fn is_live(&self) -> bool {
        self.manner != Manner::Stops
    }
}

impl Storm<'_> {
    fn baseline(&self, user: usize) -> v1::Baseline {
        let uid_next = 2 + u32::try_from(self.mails.borrow()[user].len()).unwrap();
        v1::Baseline { uid_validity: self.uid_validity[user], uid_next, highest_modseq: 0 }
    }

    async fn deliver(&self, dovecot: &Dovecot, to: usize) {
        let begun = Instant::now();
        dovecot.deliver(&user(to), "mail").await.unwrap();
        let mails = &mut self.mails.borrow_mut()[to];
        mails.push(Mail { uid: 2 + u32::try_from(mails.len()).unwrap(), begun, done: Instant::now() });
    }

    /// Mails to random users, and a mail server that is killed half-way.
    async fn post(&self, dovecot: &mut Dovecot, mut random: StdRng) {
        for number in 0..MAILS {
            let mean = STORM / u32::try_from(MAILS).unwrap();
            sleep(mean.mul_f64(random.random_range(0.0..2.0))).await;
            if number == MAILS / 2 {
                dovecot.restart().await.unwrap();
            }
            self.deliver(dovecot, random.random_range(0..USERS)).await;
        }
    }

    /// For each mail that was new to a session and that its phone did not read before: how long its push took, or none if
    /// there was none.
    fn owed(&self, residents: &[Resident]) -> Vec<(Manner, Option<Duration>, String)> {
        let pushes = self.world.apns.pushes();
        let mut all = Vec::new();
        for resident in residents.iter().filter(|resident| resident.is_live()) {
            let facts = resident.facts.borrow().clone();
            let (Some(acknowledged), Some(new_from)) = (facts.acknowledged, facts.new_from) else {
                all.push((resident.manner, None, format!("no registration or no baseline: {facts:?}")));
                continue;
            };
            let phone = resident.phone.borrow();
            let token = phone.push_token();
            for mail in self.mails.borrow()[resident.user].iter().filter(|mail| mail.uid >= new_from) {
                let push = pushes.iter().find(|push| push.token == token && push.accepted() && push.at >= mail.begun);
                let took = push.map(|push| push.at.saturating_duration_since(mail.done.max(acknowledged)));
                if took.is_none() && mail.uid < facts.read_to {
                    continue;
                }
                all.push((resident.manner, took, format!("session {} uid {}", phone.session, mail.uid)));
            }
        }
        all
    }

    /// Waits until no push is owed any more.
    async fn until_all_are_pushed(&self, residents: &[Resident], server: &Server) {
        let deadline = Instant::now() + CALM;
        loop {
            let missing: Vec<_> = self.owed(residents).into_iter().filter(|owed| owed.1.is_none()).collect();
            if missing.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "not pushed: {missing:#?}\n{}", server.log());
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// What the killer did.
#[derive(Debug, Default)]
struct Kills {
    backend: u32,
    gateway: u32,
    both: u32,
    newborn: u32,
}

/// Kills until the work is done.
async fn kill(world: &World, server: &mut Option<Server>, random: &mut StdRng, done: impl Fn() -> bool) -> Kills {
    let mut kills = Kills::default();
    loop {
        sleep(Duration::from_millis(random.random_range(100..1500))).await;
        if done() {
            return kills;
        }
        let pid = server.as_ref().unwrap().pid();
        let gateway = gateway_of(pid);
        match random.random_range(0..4) {
            0 => {
                kills.backend += 1;
                restart(world, server, pid).await;
            }
            1 => {
                kills.gateway += 1;
                // It may be between two of its lives.
                gateway.into_iter().for_each(kill_9);
            }
            2 => {
                kills.both += 1;
                gateway.into_iter().for_each(kill_9);
                restart(world, server, pid).await;
            }
            _ => {
                kills.newborn += 1;
                kill_9(pid);
                drop(server.take());
                let config = world.folder.path().join("pinger.toml");
                let mut newborn = Command::new(env!("CARGO_BIN_EXE_pinger"));
                newborn.arg("--config").arg(config).arg("serve").stdout(Stdio::null()).stderr(Stdio::null());
                let mut newborn = newborn.spawn().unwrap();
                sleep(Duration::from_millis(random.random_range(0..400))).await;
                newborn.kill().unwrap();
                newborn.wait().unwrap();
                *server = Some(world.serve().await);
            }
        }
    }
}

async fn restart(world: &World, server: &mut Option<Server>, pid: u32) {
    kill_9(pid);
    drop(server.take());
    *server = Some(world.serve().await);
}

fn kill_9(pid: u32) {
    let _ = Command::new("kill").args(["-9", &pid.to_string()]).stderr(Stdio::null()).status().unwrap();
}

/// How many connections to a port of this machine stand. `doveadm who` would name users too, but it also lists clients that
/// were killed right after their login: Dovecot does not notice all of these.
fn connections(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let established = |line: &&str| {
        let mut words = line.split_whitespace();
        words.nth(2).is_some_and(|remote| remote.ends_with(&format!(":{port:04X}"))) && words.next() == Some("01")
    };
    table.lines().filter(established).count()
}

/// How often each user has logged in.
fn logins(dovecot: &Dovecot) -> Vec<usize> {
    (0..USERS).map(|number| dovecot.logins(&user(number))).collect()
}

/// UIDVALIDITY and UIDNEXT of a user's INBOX.
async fn mailbox(dovecot: &Dovecot, user: &str) -> (u32, u32) {
    let arguments = ["-f", "flow", "mailbox", "status", "-u", user, "uidvalidity uidnext", "INBOX"];
    let text = dovecot.doveadm(&arguments).await.unwrap();
    let value = |key: &str| {
        let mut words = text.split_whitespace();
        words.find_map(|word| word.strip_prefix(key)).unwrap_or_else(|| panic!("{text}")).parse().unwrap()
    };
    (value("uidvalidity="), value("uidnext="))
}

async fn residents(storm: &Storm<'_>, server: &Server, dovecot: &Dovecot, random: &mut StdRng) -> Vec<Resident> {
    let mut residents = Vec::new();
    for number in 0..PHONES {
        let to = number % USERS;
        let account = Account::imaps(dovecot.imaps_address(), &user(to), &format!("secret of {to}"));
        let mut phone = Phone::new(server, &account).await;
        // Half of them say what they have seen; for the others the baseline is taken.
        if (number / USERS).is_multiple_of(2) {
            phone.request.baseline = Some(storm.baseline(to));
        }
        let manner = match number % 11 {
            3 => Manner::Sleeps,
            7 => Manner::Stops,
            _ => Manner::Answers,
        };
        let delay = STORM.mul_f64(random.random_range(0.0..0.9));
        let (phone, facts) = (RefCell::new(phone), RefCell::default());
        residents.push(Resident { user: to, manner, delay, phone, facts, retries: Cell::new(0) });
    }
    residents
}

#[tokio::test(flavor = "multi_thread")]
async fn no_mail_is_missed_and_none_is_lost() {
    let seed: u64 = std::env::var("PINGER_TEST_SEED").map_or_else(|_| rand::random(), |text| text.parse().unwrap());
    println!("PINGER_TEST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let world = World::new().await;
    let users = (0..USERS).map(|number| User::new(&user(number), &format!("secret of {number}"))).collect();
    let authority = Some(world.authority.clone());
    let mut dovecot = Dovecot::start(DovecotOptions { users, authority, ..DovecotOptions::default() }).await.unwrap();
    world.configure(&[dovecot.imaps_address().port()], "hold_seconds = 1", "");
    let mut uid_validity = Vec::new();
    for number in 0..USERS {
        dovecot.deliver(&user(number), "the first").await.unwrap();
        let (validity, next) = mailbox(&dovecot, &user(number)).await;
        assert_eq!(next, 2);
        uid_validity.push(validity);
    }
    let mut server = Some(world.serve().await);
    let mails = RefCell::new(vec![Vec::new(); USERS]);
    let storm = Storm { world: &world, uid_validity, mails, over: CancellationToken::new() };
    let residents = residents(&storm, server.as_ref().unwrap(), &dovecot, &mut random).await;

    let delivered = Cell::new(false);
    let acknowledged = || residents.iter().filter(|one| one.facts.borrow().acknowledged.is_some()).count();
    let lives = join_all(residents.iter().map(|resident| resident.live(&storm)));
    let conduct = async {
        let post = async {
            storm.post(&mut dovecot, StdRng::seed_from_u64(seed ^ 1)).await;
            delivered.set(true);
        };
        let done = || delivered.get() && acknowledged() == PHONES;
        let ((), kills) = tokio::join!(post, kill(&world, &mut server, &mut random, done));

        // All have stopped who wanted to; then everything dies once more, and is watched again within seconds.
        while residents.iter().any(|one| !one.is_live() && one.facts.borrow().stopped_ms.is_none()) {
            sleep(Duration::from_millis(50)).await;
        }
        let pid = server.as_ref().unwrap().pid();
        kill_9(pid);
        drop(server.take());
        let before = logins(&dovecot);
        server = Some(world.serve().await);
        let server = server.as_ref().unwrap();
        let restarted = Instant::now();
        let live: Vec<_> = residents.iter().filter(|resident| resident.is_live()).collect();
        let port = dovecot.imaps_address().port();
        let all_are_there = || {
            let since = logins(&dovecot);
            let wanted = |user| live.iter().filter(|resident| resident.user == user).count();
            connections(port) == live.len() && (0..USERS).all(|user| since[user] - before[user] >= wanted(user))
        };
        while !all_are_there() {
            assert!(restarted.elapsed() < CALM, "{} connected of {}\n{}", connections(port), live.len(), server.log());
            sleep(Duration::from_millis(10)).await;
        }
        let watched_after = restarted.elapsed();
        let mut watched = 0;
        for resident in &live {
            let phone = resident.phone.borrow().clone();
            let session = resident.insist("status", async || phone.status().await).await;
            let state = session.state();
            let is_watched = matches!(state, v1::SessionState::Watching | v1::SessionState::Holding);
            assert!(is_watched && session.baseline.is_some(), "{session:?}");
            watched += 1;
        }
        storm.until_all_are_pushed(&residents, server).await;

        // And now in silence: who never answered wakes up, and one more mail to each is pushed to all.
        for resident in residents.iter().filter(|resident| resident.manner == Manner::Sleeps) {
            let phone = resident.phone.borrow().clone();
            resident.insist("defer", async || phone.defer_with(resident.read(&storm)).await).await;
        }
        for number in 0..USERS {
            storm.deliver(&dovecot, number).await;
        }
        storm.until_all_are_pushed(&residents, server).await;
        storm.over.cancel();
        (kills, watched, watched_after)
    };
    let (_, (kills, watched, watched_after)) = tokio::join!(lives, conduct);

    let owed = storm.owed(&residents);
    let longest = |manner: Manner| {
        owed.iter().filter(|owed| owed.0 == manner).filter_map(|owed| owed.1).max().unwrap_or_default()
    };
    // What a kill cut off in the middle of its body is none.
    let (torn, pushes): (Vec<_>, Vec<_>) =
        world.apns.pushes().into_iter().partition(|push| !push.valid && push.payload.is_null());
    let odd = pushes.iter().find(|push| !push.accepted() || !push.warnings.is_empty());
    assert!(odd.is_none(), "a push that is not in order: {odd:?}");
    assert!(pushes.iter().all(|push| push.payload["pinger"]["event"] == "new_mail"), "a session ended");
    for resident in residents.iter().filter(|resident| !resident.is_live()) {
        let (token, stopped_ms) = (resident.phone.borrow().push_token(), resident.facts.borrow().stopped_ms);
        let late = pushes.iter().find(|push| push.token == token && push.payload["pinger"]["at"].as_i64() > stopped_ms);
        assert!(late.is_none(), "pushed for what came after the stop: {late:?}");
    }
    // A push that is repeated is the same push, at the same place.
    let ids: HashSet<_> = pushes.iter().map(|push| &push.apns_id).collect();
    let places: HashSet<_> = pushes.iter().map(|push| (&push.apns_id, &push.token, &push.collapse_id)).collect();
    assert_eq!(ids.len(), places.len(), "an id that was used for two");
    println!(
        "seed={seed} kills={} ({kills:?}, all once more, the mail server once) retries={} acknowledged={} \
         watched={watched} stopped={} delivered={} owed={} pushed={} torn={} duplicates={} longest_to_push={:?} \
         longest_to_push_unanswered={:?} restart_to_all_watched={watched_after:?}",
        kills.backend + kills.gateway + 2 * kills.both + 2 * kills.newborn + 2,
        residents.iter().map(|resident| resident.retries.get()).sum::<u32>(),
        acknowledged(),
        PHONES - watched,
        storm.mails.borrow().iter().map(Vec::len).sum::<usize>(),
        owed.len(),
        pushes.len(),
        torn.len(),
        pushes.len() - ids.len(),
        longest(Manner::Answers),
        longest(Manner::Sleeps),
    );
    assert_eq!(acknowledged(), PHONES);
    assert!(watched_after < SECONDS, "watched again after {watched_after:?}");
    assert!(server.unwrap().terminate().await.success());
}

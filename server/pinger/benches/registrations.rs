//! Durable registrations: how many a second, and how long each takes, at 1, 16 and 64 callers.
//!
//! Through both processes of `pinger serve`, over gRPC in clear text on the loopback device, into SQLite with WAL and
//! `synchronous=FULL`: an answer means that the commit was synced. Each caller has a connection of its own and calls again
//! as soon as it was answered. Each call is another device with another account, sealed beforehand; it waits for ten
//! minutes before its session is used, and brings its baseline, so that no mail server is asked.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a bench prints, and fails loudly")]

#[path = "../tests/harness/mod.rs"]
mod harness;
mod support;

use std::time::{Duration, Instant};

use harness::{Account, Phone, Server, World, with_app_key};
use peers::closed_port;
use proto::v1;
use proto::v1::device_service_client::DeviceServiceClient;
use support::machine::{cpu_time, introduce};
use support::{Sample, median, ms, size, thousands};
use tokio::task::JoinSet;
use tonic::transport::Endpoint;

/// Runs, of which the median counts.
const RUNS: usize = 3;

/// One run's figures.
#[derive(Clone, Copy)]
struct Run {
    per_second: f64,
    p50: Duration,
    p99: Duration,
    /// Processor time of backend, gateway and callers for one registration.
    cpu: [Duration; 3],
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let world = World::new().await;
    introduce("durable registrations, through gateway and backend", world.folder.path());
    let nobody = closed_port().unwrap();
    world.configure(&[nobody.port()], "", "");
    let server = world.serve().await;
    let first = Phone::new(&server, &Account::imaps(nobody, "somebody", "a password")).await;

    println!("median of {RUNS} runs:");
    println!("| callers | registrations/s | p50 | p99 | CPU for one: backend + gateway + callers |");
    println!("| ---: | ---: | ---: | ---: | ---: |");
    for (callers, calls) in [(1, size(2_000, 50)), (16, size(8_000, 160)), (64, size(12_800, 320))] {
        // Connections are open, statements are prepared, and the memory is there.
        run(&server, &first, callers, callers * 10).await;
        let mut runs = Vec::new();
        for _ in 0..RUNS {
            runs.push(run(&server, &first, callers, calls).await);
        }
        let of = |figure: fn(&Run) -> Duration| median(&runs.iter().map(figure).collect::<Vec<_>>());
        let per_second = median(&runs.iter().map(|run| run.per_second).collect::<Vec<_>>());
        let cpu: Vec<_> =
            (0..3).map(|part| median(&runs.iter().map(|run| run.cpu[part]).collect::<Vec<_>>())).collect();
        println!(
            "| {callers} | {} | {} | {} | {} + {} + {} µs |",
            thousands(per_second),
            ms(of(|run| run.p50)),
            ms(of(|run| run.p99)),
            cpu[0].as_micros(),
            cpu[1].as_micros(),
            cpu[2].as_micros(),
        );
    }
}

async fn run(server: &Server, like: &Phone, callers: usize, calls: usize) -> Run {
    let mut tasks = JoinSet::new();
    let requests: Vec<Vec<v1::RegisterRequest>> =
        (0..callers).map(|_| (0..calls / callers).map(|_| request(like)).collect()).collect();
    let pids = [server.pid(), server.gateway_pid, std::process::id()];
    let mut clients = Vec::new();
    for _ in 0..callers {
        let channel =
            Endpoint::from_shared(server.device_api.clone()).unwrap().tcp_nodelay(true).connect().await.unwrap();
        clients.push(DeviceServiceClient::new(channel));
    }
    let before = pids.map(cpu_time);
    let start = Instant::now();
    for (mut client, requests) in clients.into_iter().zip(requests) {
        tasks.spawn(async move {
            let mut took = Vec::with_capacity(requests.len());
            for request in requests {
                let start = Instant::now();
                client.register(with_app_key(request)).await.unwrap();
                took.push(start.elapsed());
            }
            took
        });
    }
    let took = tasks.join_all().await.concat();
    let elapsed = start.elapsed();
    let after = pids.map(cpu_time);
    let calls = u32::try_from(took.len()).unwrap();
    let sample = Sample::new(took);
    Run {
        per_second: f64::from(calls) / elapsed.as_secs_f64(),
        p50: sample.percentile(50),
        p99: sample.percentile(99),
        cpu: [0, 1, 2].map(|part| (after[part] - before[part]) / calls),
    }
}

/// A device that is new to the server.
fn request(like: &Phone) -> v1::RegisterRequest {
    let mut request = like.another(&like.account).waiting(600).request;
    request.baseline = Some(v1::Baseline { uid_validity: 1, uid_next: 1, highest_modseq: 0 });
    request
}

//! After a start: what Alertmanager has told, or would have told, while nobody listened.
//!
//! ```text
//! ledger ──────────────┐
//! Alertmanagers' lists ┴─▶ listing::Comparison ─▶ intake ─▶ ledger ─▶ engine
//! ```
//!
//! Alertmanager sends by itself what was not delivered, and repeats what was, but at times of its
//! own: with a `repeat_interval` of hours, hours later. And what it forgot in a restart of its own
//! it never sends. Readiness and intake do not wait for this.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join;
use ledger::{AlertId, LedgerError, Store};
use remediation::{Alert, AlertStatus};
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::engine::Event;
use crate::intake::Intake;
use crate::listing::{Comparison, Entry, Listing};
use crate::ports::{AlertSink, Ledger};

/// Between two rounds, in seconds. Together they outlast the time that an Alertmanager which was
/// started at the same moment takes to know all that fires.
const PAUSES: [u64; 9] = [1, 2, 4, 8, 15, 30, 60, 60, 60];

/// Alerts that are handed over at once; as many as a large webhook has.
const BATCH: usize = 64;

/// Asks until every Alertmanager has given a complete list, for a few minutes at most.
pub(crate) async fn catch_up<L: Ledger>(sink: Arc<dyn AlertSink>, intake: Arc<Intake<L>>) {
    let mut comparison = Comparison::default();
    let mut lacking = round(&*sink, &intake, &mut comparison).await;
    // Only fails once the engine is gone.
    let _ = intake.wires.events.send(Event::CaughtUp).await;
    if let Err(why) = &lacking {
        tracing::info!(%why, "not all that was missed is known yet; asking again for some minutes");
    }
    for pause in PAUSES {
        if lacking.is_ok() {
            return;
        }
        sleep(Duration::from_secs(pause)).await;
        lacking = round(&*sink, &intake, &mut comparison).await;
    }
    if let Err(why) = lacking {
        tracing::warn!(%why, "what was missed meanwhile comes when Alertmanager next tells of it");
    }
}

/// Takes in what can be known now.
///
/// # Errors
/// Says whose list was not whole, or why it could not be taken in.
async fn round<L: Ledger>(
    sink: &dyn AlertSink,
    intake: &Intake<L>,
    comparison: &mut Comparison,
) -> Result<(), String> {
    // Before the lists, so that what arrives meanwhile is not held against an older list.
    let held = intake.ledger.call(Store::held_alerts).await;
    comparison.begin(held.map_err(|error| error.to_string())?);
    let (to_compare, entries) = mpsc::channel(BATCH);
    let (lists, unheard) = join(sink.list(to_compare), take_in(intake, comparison, entries)).await;
    let unheard = unheard?;
    let (listings, failures): (Vec<_>, Vec<_>) = lists.into_iter().partition(Result::is_ok);
    let listings: Vec<Listing> = listings.into_iter().flatten().collect();
    let mut lacking: Vec<String> = failures.into_iter().filter_map(Result::err).collect();
    if listings.contains(&Listing::Young) {
        lacking.push("an Alertmanager has only just started".into());
    }

    let ended = comparison.ended(&listings);
    for ids in ended.chunks(BATCH) {
        let alerts = ends_of(intake, ids.to_vec()).await;
        keep(intake, alerts.map_err(|error| error.to_string())?).await?;
    }
    if unheard + ended.len() > 0 {
        let ended = ended.len();
        tracing::info!(unheard, ended, "Alertmanager's list told of alerts");
    }
    match lacking.as_slice() {
        [] => Ok(()),
        whose => Err(whose.join("; ")),
    }
}

/// Hands what is listed and was missed to the intake; returns how many alerts are new to it.
async fn take_in<L: Ledger>(
    intake: &Intake<L>,
    comparison: &mut Comparison,
    mut entries: mpsc::Receiver<Entry>,
) -> Result<usize, String> {
    let (mut batch, mut unheard) = (Vec::new(), 0);
    while entries.recv_many(&mut batch, BATCH).await > 0 {
        let missed = batch.drain(..).filter_map(|entry| comparison.take(entry));
        let missed: Vec<Alert> = missed.collect();
        if !missed.is_empty() {
            let kept = keep(intake, missed).await;
            unheard += kept.inspect_err(|_| comparison.forget_returned())?;
        }
    }
    Ok(unheard)
}

async fn keep<L: Ledger>(intake: &Intake<L>, alerts: Vec<Alert>) -> Result<usize, String> {
    let kept = intake.keep(alerts, false).await;
    kept.map_err(|_| "the alerts cannot be stored now".into())
}

/// The alerts again, as they would have been told to be over.
async fn ends_of<L: Ledger>(
    intake: &Intake<L>,
    ids: Vec<AlertId>,
) -> Result<Vec<Alert>, LedgerError> {
    let read = intake.ledger.call(move |store| {
        let stored = ids.into_iter().map(|id| store.alert(id));
        stored.collect::<Result<Vec<_>, _>>()
    });
    let over = |alert| Alert {
        status: AlertStatus::Resolved,
        ends_at: None,
        ..alert
    };
    let stored = read.await?.into_iter().flatten();
    Ok(stored.map(|stored| over(stored.alert)).collect())
}

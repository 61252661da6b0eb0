//! Places for connections: so many, and a client that only sits there gives its place to another.
//!
//! Without this, clients that connect and say nothing would keep everybody else waiting for as
//! long as an idle connection may live.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// A client has this long to speak before it can be sent away. Of those that connect all at once most
/// have spoken, and were not heard yet.
const GRACE: Duration = Duration::from_millis(25);

/// All places of one listener.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    free: Arc<Semaphore>,
    row: Arc<Row>,
}

#[derive(Debug, Default)]
struct Row {
    seats: Mutex<Vec<Arc<Seat>>>,
    /// A client is at the door and every place is taken.
    someone_waits: AtomicBool,
}

#[derive(Debug)]
struct Seat {
    /// `None` while it is being answered.
    silent_since: Mutex<Option<Instant>>,
    leave: CancellationToken,
}

/// A connection's place, free again when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    seat: Arc<Seat>,
    row: Arc<Row>,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    pub(crate) fn new(count: u32) -> Self {
        Self {
            free: Arc::new(Semaphore::new(count as usize)),
            row: Arc::default(),
        }
    }

    /// A place for one more connection. Where none is free, the client that has been silent for
    /// longest has to go, or the next one that has its answer.
    pub(crate) async fn take(&self) -> Place {
        let permit = match self.free.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => self.make_room().await,
        };
        let seat = Arc::new(Seat {
            silent_since: Mutex::new(Some(Instant::now())),
            leave: CancellationToken::new(),
        });
        locked(&self.row.seats).push(seat.clone());
        Place {
            seat,
            row: self.row.clone(),
            _permit: permit,
        }
    }

    async fn make_room(&self) -> OwnedSemaphorePermit {
        self.row.someone_waits.store(true, Ordering::SeqCst);
        let mut freed = pin!(self.free.clone().acquire_owned());
        let permit = loop {
            let look_again = self.row.ask_one_to_leave();
            if let Ok(permit) = timeout(look_again, freed.as_mut()).await {
                break permit;
            }
        };
        self.row.someone_waits.store(false, Ordering::SeqCst);
        permit.expect("the semaphore is never closed")
    }
}

impl Row {
    /// Returns after which time it is worth asking again.
    fn ask_one_to_leave(&self) -> Duration {
        let seats = locked(&self.seats);
        let silent = seats.iter().filter(|seat| !seat.leave.is_cancelled());
        let silent = silent.filter_map(|seat| Some((seat.silent_for()?, seat)));
        match silent.max_by_key(|(silent_for, _)| *silent_for) {
            Some((silent_for, _)) if silent_for < GRACE => GRACE.saturating_sub(silent_for),
            Some((_, seat)) => {
                seat.leave.cancel();
                GRACE
            }
            None => GRACE,
        }
    }
}

impl Seat {
    fn silent_for(&self) -> Option<Duration> {
        locked(&self.silent_since).map(|since| since.elapsed())
    }
}

impl Place {
    /// A request has begun: its client keeps the place until it has its answer.
    pub(crate) fn answering(&self) {
        *locked(&self.seat.silent_since) = None;
    }

    /// The request has its answer. Returns whether its client has to go now.
    pub(crate) fn answered(&self) -> bool {
        *locked(&self.seat.silent_since) = Some(Instant::now());
        let has_to_go = self.row.someone_waits.load(Ordering::SeqCst);
        if has_to_go {
            self.seat.leave.cancel();
        }
        has_to_go
    }

    /// Waits until another client needs the place.
    pub(crate) async fn is_needed(&self) {
        self.seat.leave.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        locked(&self.row.seats).retain(|seat| !Arc::ptr_eq(seat, &self.seat));
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

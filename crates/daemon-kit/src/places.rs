//! Places for connections: so many, and a client that only sits there gives its place to another.
//!
//! Without this, clients that connect and say nothing would keep everybody else waiting for as
//! long as an idle connection may live.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// All places of one listener.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    free: Arc<Semaphore>,
    row: Arc<Row>,
}

#[derive(Debug, Default)]
struct Row {
    /// Who has a place, the longest-seated first.
    seats: Mutex<VecDeque<Arc<Seat>>>,
    /// A client is at the door and every place is taken.
    someone_waits: AtomicBool,
}

#[derive(Debug, Default)]
struct Seat {
    is_answering: AtomicBool,
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

    /// A place for one more connection. Where none is free, the longest-seated client that is not
    /// being answered has to go; where all are, the next one that has its answer.
    pub(crate) async fn take(&self) -> Place {
        let permit = if let Ok(permit) = self.free.clone().try_acquire_owned() {
            permit
        } else {
            self.row.someone_waits.store(true, Ordering::SeqCst);
            self.row.ask_one_to_leave();
            let permit = self.free.clone().acquire_owned().await;
            self.row.someone_waits.store(false, Ordering::SeqCst);
            permit.expect("the semaphore is never closed")
        };
        let seat = Arc::new(Seat::default());
        self.row.seats().push_back(seat.clone());
        Place {
            seat,
            row: self.row.clone(),
            _permit: permit,
        }
    }
}

impl Row {
    fn seats(&self) -> MutexGuard<'_, VecDeque<Arc<Seat>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask_one_to_leave(&self) {
        let seats = self.seats();
        let may_go = |seat: &&Arc<Seat>| {
            !seat.is_answering.load(Ordering::SeqCst) && !seat.leave.is_cancelled()
        };
        if let Some(seat) = seats.iter().find(may_go) {
            seat.leave.cancel();
        }
    }
}

impl Place {
    /// A request has begun: its client keeps the place until it has its answer.
    pub(crate) fn answering(&self) {
        self.seat.is_answering.store(true, Ordering::SeqCst);
    }

    /// The request has its answer.
    pub(crate) fn answered(&self) {
        self.seat.is_answering.store(false, Ordering::SeqCst);
        if self.row.someone_waits.load(Ordering::SeqCst) {
            self.seat.leave.cancel();
        }
    }

    /// Waits until another client needs the place.
    pub(crate) async fn is_needed(&self) {
        self.seat.leave.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.row
            .seats()
            .retain(|seat| !Arc::ptr_eq(seat, &self.seat));
    }
}

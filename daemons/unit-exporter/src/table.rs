//! What systemd says of its units, kept in memory and brought up to date by its signals. Pure.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use systemd_bus::{ListedUnit, UnitProperties};
use units::{ActiveState, LoadState, UnitName};

use crate::exposition::label;
use crate::select::Selection;

/// systemd's "not set" for times and counts.
const UNSET: u64 = u64::MAX;

/// One unit as systemd last showed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitEntry {
    /// `unit="…"`, escaped.
    pub label: String,
    /// Whether its file could be read.
    pub load_state: LoadState,
    /// What it is doing.
    pub active_state: ActiveState,
    /// The finer state.
    pub sub_state: String,
    /// Start, result, restarts, times: what has been read or signalled so far.
    pub shown: UnitProperties,
    /// How many runs began while we watched.
    pub invocations: u64,
    /// It was there when we began to watch, so that its first known run is an old one.
    is_older_than_watch: bool,
}

impl UnitEntry {
    fn listed(row: ListedUnit, is_older_than_watch: bool) -> Self {
        Self {
            label: label("unit", row.unit.as_str()),
            is_older_than_watch,
            load_state: row.load_state,
            active_state: row.active_state,
            sub_state: row.sub_state,
            shown: UnitProperties::default(),
            invocations: 0,
        }
    }

    /// Takes over a newer row. The answer is whether it says what was known, details included.
    fn relist(&mut self, row: ListedUnit) -> bool {
        let is_as_known = self.active_state == row.active_state
            && self.sub_state == row.sub_state
            && self.shown.invocation_id.is_some();
        self.load_state = row.load_state;
        self.active_state = row.active_state;
        self.sub_state = row.sub_state;
        is_as_known
    }

    /// Whether it runs, listens, waits: whatever being up means for its type.
    pub fn is_up(&self) -> bool {
        !matches!(
            self.active_state,
            ActiveState::Inactive | ActiveState::Failed | ActiveState::Activating
        )
    }

    /// When it last became active; none while it is not.
    pub fn start_usec(&self) -> Option<u64> {
        known(self.shown.active_enter_usec).filter(|_| self.is_up())
    }

    /// How often the service must ping its watchdog; none where it has none.
    pub fn watchdog_usec(&self) -> Option<u64> {
        known(self.shown.watchdog_usec).filter(|_| self.is_up())
    }

    /// When the service last pinged its watchdog.
    pub fn watchdog_last_ping_usec(&self) -> Option<u64> {
        known(self.shown.watchdog_last_ping_usec).filter(|_| self.is_up())
    }

    /// A count that the unit has while it is up, if systemd keeps it.
    pub fn count_while_up(&self, count: Option<u64>) -> Option<u64> {
        count.filter(|count| *count != UNSET && self.is_up())
    }

    /// When a timer last elapsed.
    pub fn last_trigger_usec(&self) -> Option<u64> {
        known(self.shown.last_trigger_usec)
    }

    /// When a timer elapses next on the clock of the world; `monotonic_offset_usec` is what that
    /// clock is ahead of the monotonic one.
    pub fn next_elapse_usec(&self, monotonic_offset_usec: u64) -> Option<u64> {
        let monotonic = known(self.shown.next_elapse_monotonic_usec)
            .map(|usec| usec.saturating_add(monotonic_offset_usec));
        let realtime = known(self.shown.next_elapse_realtime_usec);
        match (realtime, monotonic) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// Takes over what a read or a signal told.
    fn learn(&mut self, told: UnitProperties) {
        if let Some(state) = told.active_state {
            self.active_state = state;
        }
        let run = told.invocation_id.as_deref().filter(|id| !id.is_empty());
        let is_new_run = run.is_some() && run != self.shown.invocation_id.as_deref();
        if is_new_run && !self.is_older_than_watch {
            self.invocations += 1;
        }
        if told.invocation_id.is_some() {
            self.is_older_than_watch = false;
        }
        self.shown.take_over(told);
        if let Some(sub_state) = self.shown.sub_state.take() {
            self.sub_state = sub_state;
        }
    }
}

/// Every selected unit that systemd has loaded.
#[derive(Debug)]
pub struct Table {
    selection: Arc<Selection>,
    /// Boxed: a tree's nodes are a good half full, and an entry is large.
    units: BTreeMap<UnitName, Box<UnitEntry>>,
    /// Of all units, selected or not: whether there is one decides the state of the system.
    failed: HashSet<UnitName>,
}

impl Table {
    /// An empty table.
    pub fn new(selection: Arc<Selection>) -> Self {
        Self {
            selection,
            units: BTreeMap::new(),
            failed: HashSet::new(),
        }
    }

    /// The units by name.
    pub fn units(&self) -> &BTreeMap<UnitName, Box<UnitEntry>> {
        &self.units
    }

    /// Whether any unit of the system is failed.
    pub fn has_failed(&self) -> bool {
        !self.failed.is_empty()
    }

    /// Takes over a complete list. The answer is the units whose details must be read: those that
    /// are new or not as we knew them, and all of them if `from_scratch`.
    pub fn replace(&mut self, rows: Vec<ListedUnit>, from_scratch: bool) -> Vec<UnitName> {
        let names: HashSet<UnitName> = rows.iter().map(|row| row.unit.clone()).collect();
        self.units.retain(|name, _| names.contains(name));
        self.failed.clear();
        self.take_in(rows, true, from_scratch)
    }

    /// Takes over a list of some units. The answer is as with [`Table::replace`].
    pub fn merge(&mut self, rows: Vec<ListedUnit>) -> Vec<UnitName> {
        self.take_in(rows, false, false)
    }

    fn take_in(
        &mut self,
        rows: Vec<ListedUnit>,
        are_older_than_watch: bool,
        reread_all: bool,
    ) -> Vec<UnitName> {
        let mut unread = Vec::new();
        for row in rows {
            self.note_failed(&row.unit, row.active_state);
            if !self.selection.selects(row.unit.as_str()) {
                continue;
            }
            let name = row.unit.clone();
            if is_only_a_name(&row) {
                self.units.remove(&name);
                continue;
            }
            let is_as_known = if let Some(entry) = self.units.get_mut(&name) {
                entry.relist(row)
            } else {
                let entry = UnitEntry::listed(row, are_older_than_watch);
                self.units.insert(name.clone(), Box::new(entry));
                false
            };
            if reread_all || !is_as_known {
                unread.push(name);
            }
        }
        unread
    }

    /// Takes over what was read of one unit after a list named it.
    pub fn fill(&mut self, name: &UnitName, details: UnitProperties) {
        if let Some(entry) = self.units.get_mut(name) {
            entry.learn(details);
        }
    }

    /// Takes over a signal. False: the unit is not known and must be listed first.
    pub fn change(&mut self, name: &UnitName, told: UnitProperties) -> bool {
        if let Some(state) = told.active_state {
            self.note_failed(name, state);
        }
        match self.units.get_mut(name) {
            Some(entry) => {
                entry.learn(told);
                true
            }
            None => !self.selection.selects(name.as_str()),
        }
    }

    /// Forgets a unit that systemd has unloaded.
    pub fn remove(&mut self, name: &UnitName) {
        self.units.remove(name);
        self.failed.remove(name);
    }

    fn note_failed(&mut self, name: &UnitName, state: ActiveState) {
        if state == ActiveState::Failed {
            self.failed.insert(name.clone());
        } else {
            self.failed.remove(name);
        }
    }
}

/// Other units refer to it, but there is no file and nothing runs.
fn is_only_a_name(row: &ListedUnit) -> bool {
    row.load_state == LoadState::NotFound && row.active_state == ActiveState::Inactive
}

fn known(usec: Option<u64>) -> Option<u64> {
    usec.filter(|usec| *usec != 0 && *usec != UNSET)
}

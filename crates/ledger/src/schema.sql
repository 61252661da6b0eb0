-- The alert bot's memory. Times are microseconds since the epoch, UTC.
-- JSON columns hold the types of crates/remediation, so that every decision can be replayed.

-- One row for each alert state that was acknowledged to Alertmanager.
CREATE TABLE alerts (
    id            INTEGER PRIMARY KEY,
    fingerprint   TEXT    NOT NULL,
    starts_at     INTEGER NOT NULL,
    status        TEXT    NOT NULL,
    alert         TEXT    NOT NULL,             -- JSON
    truncated     INTEGER NOT NULL,             -- Alertmanager left alerts out of this webhook
    accepted_at   INTEGER NOT NULL,
    deliveries    INTEGER NOT NULL DEFAULT 1,
    settled_at    INTEGER,                      -- NULL: no final decision yet
    disposition   TEXT,                         -- acted, joined, suppressed, refused, escalated
    reason        TEXT,
    incident      TEXT,
    UNIQUE (fingerprint, starts_at, status)
) STRICT;
CREATE INDEX alerts_unsettled ON alerts (id) WHERE settled_at IS NULL;
CREATE INDEX alerts_by_time ON alerts (accepted_at);
CREATE INDEX alerts_by_incident ON alerts (incident) WHERE incident IS NOT NULL;

CREATE TABLE incidents (
    id            TEXT    PRIMARY KEY,          -- UUIDv7
    opened_at     INTEGER NOT NULL,
    name          TEXT    NOT NULL,             -- the alert's name, or UnitFailed for systemd's own signal
    trigger       TEXT    NOT NULL,             -- JSON
    rule          TEXT,
    unit          TEXT,
    state         TEXT    NOT NULL,             -- open, escalated, closed
    evidence      TEXT,                         -- JSON, as found before anything was touched
    outcome       TEXT,
    closed_at     INTEGER
) STRICT;
CREATE INDEX incidents_open ON incidents (opened_at) WHERE state <> 'closed';
CREATE INDEX incidents_by_time ON incidents (opened_at);

CREATE TABLE decisions (
    id            INTEGER PRIMARY KEY,
    decided_at    INTEGER NOT NULL,
    incident      TEXT,
    alert         INTEGER,
    rule          TEXT,
    unit          TEXT,
    verdict       TEXT    NOT NULL,             -- act, ignore, observe, hold, deny, await-approval, escalate
    reason        TEXT    NOT NULL,
    policy        TEXT    NOT NULL,             -- hash of the policy in force
    input         TEXT    NOT NULL,             -- JSON: history and situation
    decision      TEXT    NOT NULL              -- JSON
) STRICT;
CREATE INDEX decisions_by_time ON decisions (decided_at);
CREATE INDEX decisions_by_incident ON decisions (incident) WHERE incident IS NOT NULL;

-- The row exists before the action begins: after a crash it is verified, never repeated.
CREATE TABLE attempts (
    id            INTEGER PRIMARY KEY,
    decision      INTEGER NOT NULL UNIQUE REFERENCES decisions (id) ON DELETE CASCADE,
    incident      TEXT    NOT NULL,
    rule          TEXT    NOT NULL,
    unit          TEXT    NOT NULL,             -- of a step of scaling, all of its units
    action        TEXT    NOT NULL,
    plan          TEXT    NOT NULL,             -- JSON
    intended_at   INTEGER NOT NULL,
    job_result    TEXT,
    job_ended_at  INTEGER,
    outcome       TEXT,                         -- effective, ineffective, unknown
    reason        TEXT,                         -- why it did not help, where there is a word for it
    detail        TEXT,
    ended_at      INTEGER
) STRICT;
CREATE INDEX attempts_by_time ON attempts (intended_at);
CREATE INDEX attempts_by_incident ON attempts (incident);

CREATE TABLE approvals (
    incident      TEXT    PRIMARY KEY,
    rung          INTEGER NOT NULL,             -- an answer counts for no other
    plan          TEXT    NOT NULL,             -- JSON
    asked_at      INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,
    verdict       TEXT,                         -- approved, denied
    answered_by   TEXT,
    answered_at   INTEGER
) STRICT;

-- A person declared a rule's past as settled: its breaker closes, its demotion ends.
CREATE TABLE resets (
    id            INTEGER PRIMARY KEY,
    rule          TEXT    NOT NULL,
    reset_by      TEXT    NOT NULL,
    reset_at      INTEGER NOT NULL
) STRICT;

CREATE TABLE pauses (
    id            INTEGER PRIMARY KEY,
    unit          TEXT,                         -- NULL: the whole bot
    why           TEXT    NOT NULL,
    paused_by     TEXT    NOT NULL,
    paused_at     INTEGER NOT NULL,
    until         INTEGER NOT NULL,
    lifted_by     TEXT,
    lifted_at     INTEGER
) STRICT;

-- Meetings that are joined by a bot of a gateway.

CREATE TABLE connector_sessions (
    meeting_id    text PRIMARY KEY REFERENCES meetings ON DELETE CASCADE,
    provider      text NOT NULL,
    state         text NOT NULL DEFAULT 'requested',
    reason        text,
    last_error    text,
    wanted        boolean NOT NULL DEFAULT false,
    epoch         bigint NOT NULL DEFAULT 0,
    unanswered    boolean NOT NULL DEFAULT false,
    attempts      integer NOT NULL DEFAULT 0,
    join_url      text,
    bot_name      text,
    language      text,
    heartbeat_at  timestamptz,
    joined_at     timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    looked_at     timestamptz,
    rejoins       timestamptz[] NOT NULL DEFAULT '{}',
    open_until    timestamptz,
    op_name       text,
    op_fence      bigint NOT NULL DEFAULT 0,
    op_until      timestamptz,
    cursor        text,
    pull_owner    text,
    pull_fence    bigint NOT NULL DEFAULT 0,
    pull_until    timestamptz,
    pull_due_at   timestamptz,
    pull_failures integer NOT NULL DEFAULT 0,
    untold_chunks bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE connector_sessions IS 'Meetings that a bot is, or was, asked to be in.';
COMMENT ON COLUMN connector_sessions.epoch IS 'Counts the bots that we asked for.';
COMMENT ON COLUMN connector_sessions.unanswered IS 'Nobody knows what came of the order of this epoch.';
COMMENT ON COLUMN connector_sessions.open_until IS 'Holds the meeting open until then.';
COMMENT ON COLUMN connector_sessions.op_fence IS 'Raised by whoever takes the lock of operations.';
COMMENT ON COLUMN connector_sessions.cursor IS 'Up to here the sound was taken over.';
COMMENT ON COLUMN connector_sessions.pull_fence IS 'Raised by whoever takes over the pulling.';
COMMENT ON COLUMN connector_sessions.untold_chunks IS 'New ones since an operator asked last.';
CREATE INDEX connector_sessions_newest ON connector_sessions (updated_at DESC);

CREATE TABLE connector_tracks (
    meeting_id     text NOT NULL REFERENCES connector_sessions ON DELETE CASCADE,
    participant_id text NOT NULL,
    track          text NOT NULL,
    name           text,
    join_epoch     bigint NOT NULL DEFAULT -1,
    epoch          bigint NOT NULL DEFAULT -1,
    base_seq       bigint NOT NULL DEFAULT 0,
    floor_seq      bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (meeting_id, participant_id),
    UNIQUE (meeting_id, track)
);
COMMENT ON TABLE connector_tracks IS 'The track of each participant; empty id: of the whole room.';
COMMENT ON COLUMN connector_tracks.join_epoch IS 'Epoch of the session that the newest numbers are of; -1: no sound came yet.';
COMMENT ON COLUMN connector_tracks.epoch IS 'By the count of the gateway, which may not count.';
COMMENT ON COLUMN connector_tracks.base_seq IS 'Added to the numbers that the gateway gives in this epoch.';
COMMENT ON COLUMN connector_tracks.floor_seq IS 'Numbers below are of older epochs.';

CREATE TABLE connector_stray_bots (
    deletion_id bigint PRIMARY KEY REFERENCES deletions,
    provider    text NOT NULL,
    strayed_at  timestamptz NOT NULL DEFAULT now(),
    looked_at   timestamptz
);
COMMENT ON TABLE connector_stray_bots IS 'Deletions whose bot may still be in the meeting.';

CREATE TABLE connector_breakers (
    gateway              text PRIMARY KEY,
    state                text NOT NULL DEFAULT 'closed' CHECK (state IN ('closed', 'open', 'half_open')),
    consecutive_failures integer NOT NULL DEFAULT 0,
    opened_at            timestamptz,
    last_error           text,
    good_probes          integer NOT NULL DEFAULT 0,
    probe                bigint NOT NULL DEFAULT 0,
    probe_until          timestamptz,
    updated_at           timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE connector_breakers IS 'Whether a gateway is asked at all, for all processes.';

-- What all migrations add up to; a test compares the two.

CREATE TABLE meetings (
    meeting_id        text PRIMARY KEY,
    owner             text NOT NULL,
    mode              text NOT NULL CHECK (mode IN ('realtime', 'postmeeting')),
    language          text,
    consent           text NOT NULL CHECK (consent IN ('unknown', 'granted', 'denied')),
    context           jsonb NOT NULL DEFAULT '{}',
    recipients        text[] NOT NULL DEFAULT '{}',
    created_at        timestamptz NOT NULL DEFAULT now(),
    last_audio_at     timestamptz,
    audio_version     bigint NOT NULL DEFAULT 0,
    closed_version    bigint,
    reported_version  bigint,
    finish_requested_at timestamptz,
    expected_last_seq jsonb NOT NULL DEFAULT '{}',
    version           integer NOT NULL DEFAULT 0,
    event             bigint NOT NULL DEFAULT 0,
    segment_count     integer NOT NULL DEFAULT 0,
    text_deleted_at   timestamptz,
    origin_at         timestamptz,
    deleted_at        timestamptz
);
COMMENT ON COLUMN meetings.deleted_at IS 'Set when the deletion began: nobody sees the meeting since.';
COMMENT ON COLUMN meetings.audio_version IS 'Chunks accepted so far; grows with each.';
COMMENT ON COLUMN meetings.closed_version IS 'audio_version at which the transcript was closed.';
COMMENT ON COLUMN meetings.reported_version IS 'audio_version that the newest report covers.';
COMMENT ON COLUMN meetings.version IS 'Number of the newest transcript and report.';
COMMENT ON COLUMN meetings.event IS 'Number of the last change of the transcript.';
COMMENT ON COLUMN meetings.origin_at IS 'When its first live track began; null without one.';

CREATE INDEX meetings_newest ON meetings (created_at DESC, meeting_id DESC);
CREATE INDEX meetings_newest_of_owner ON meetings (owner, created_at DESC, meeting_id DESC);
CREATE INDEX meetings_to_close ON meetings (greatest(last_audio_at, finish_requested_at))
    WHERE closed_version IS DISTINCT FROM audio_version AND deleted_at IS NULL
        AND greatest(last_audio_at, finish_requested_at) IS NOT NULL;
CREATE INDEX meetings_with_content ON meetings (created_at)
    WHERE text_deleted_at IS NULL AND deleted_at IS NULL;

CREATE TABLE tracks (
    meeting_id   text NOT NULL REFERENCES meetings ON DELETE CASCADE,
    track        text NOT NULL,
    speaker_hint text,
    language     text,
    checkpoint   jsonb,
    heard_s      double precision NOT NULL DEFAULT 0,
    live         boolean NOT NULL DEFAULT false,
    live_checkpoint jsonb,
    offset_s     double precision NOT NULL DEFAULT 0,
    PRIMARY KEY (meeting_id, track)
);
COMMENT ON COLUMN tracks.live IS 'Whether the track is captioned while its audio comes.';
COMMENT ON COLUMN tracks.offset_s IS 'Seconds from the start of the meeting to that of the track.';

CREATE TABLE chunks (
    meeting_id      text NOT NULL,
    track           text NOT NULL,
    seq             integer NOT NULL CHECK (seq >= 0),
    upload_track    text NOT NULL,
    sha256          text NOT NULL,
    size_bytes      bigint NOT NULL,
    blob_key        text,
    codec           text NOT NULL,
    sample_rate     integer NOT NULL,
    channels        smallint NOT NULL,
    channel         smallint,
    idempotency_key text NOT NULL,
    state           text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'done', 'failed')),
    reason          text,
    accepted_at     timestamptz NOT NULL DEFAULT now(),
    first_frame     bigint,
    last_frame      bigint,
    failed_at       timestamptz,
    discarded_at    timestamptz,
    PRIMARY KEY (meeting_id, track, seq),
    UNIQUE (meeting_id, track, idempotency_key),
    FOREIGN KEY (meeting_id, track) REFERENCES tracks ON DELETE CASCADE
);
COMMENT ON COLUMN chunks.upload_track IS 'Track that the sender named; split channels have their own.';
COMMENT ON COLUMN chunks.blob_key IS 'Null once the audio was deleted by retention.';
COMMENT ON COLUMN chunks.first_frame IS 'First frame of a live session in this chunk; null for others.';
COMMENT ON COLUMN chunks.discarded_at IS 'Whatever failed before is no longer listed as given up on.';
CREATE INDEX chunks_failed ON chunks (meeting_id, track) WHERE state = 'failed';
CREATE INDEX chunks_undone ON chunks (meeting_id, track, seq) WHERE state = 'pending';
CREATE INDEX chunks_by_blob ON chunks (blob_key);

CREATE TABLE stage_work (
    meeting_id  text NOT NULL REFERENCES meetings ON DELETE CASCADE,
    stage       text NOT NULL,
    track       text NOT NULL DEFAULT '',
    wanted      bigint NOT NULL DEFAULT 0,
    reached     bigint NOT NULL DEFAULT 0,
    due_at      timestamptz,
    lease_owner text,
    lease_until timestamptz,
    epoch       bigint NOT NULL DEFAULT 0,
    attempts    integer NOT NULL DEFAULT 0,
    failed      boolean NOT NULL DEFAULT false,
    reason      text,
    trace_id    text,
    updated_at  timestamptz NOT NULL DEFAULT now(),
    put_off_since timestamptz,
    leased_at   timestamptz,
    discarded_at timestamptz,
    PRIMARY KEY (meeting_id, stage, track)
);
COMMENT ON TABLE stage_work IS 'How far each stage is wanted and how far it is; due_at null: idle.';
COMMENT ON COLUMN stage_work.put_off_since IS 'When work that was put off was due first.';
COMMENT ON COLUMN stage_work.leased_at IS 'When the newest lease was taken.';
COMMENT ON COLUMN stage_work.discarded_at IS 'Whatever failed before is no longer listed as given up on.';
CREATE INDEX stage_work_due ON stage_work (stage, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX stage_work_failed ON stage_work (stage) WHERE failed;

CREATE TABLE segments (
    meeting_id        text NOT NULL,
    segment_id        text NOT NULL,
    track             text NOT NULL,
    ordinal           integer NOT NULL,
    start_s           double precision NOT NULL,
    end_s             double precision NOT NULL,
    raw_text          text NOT NULL,
    text              text NOT NULL,
    words             jsonb NOT NULL DEFAULT '[]',
    changes           jsonb NOT NULL DEFAULT '[]',
    confidence        real,
    language          text,
    first_seq         integer NOT NULL,
    last_seq          integer NOT NULL,
    revision          integer NOT NULL DEFAULT 1,
    enhanced_revision integer NOT NULL DEFAULT 0,
    event             bigint NOT NULL DEFAULT 0,
    retracted         boolean NOT NULL DEFAULT false,
    is_final          boolean NOT NULL DEFAULT true,
    PRIMARY KEY (meeting_id, segment_id),
    FOREIGN KEY (meeting_id, track) REFERENCES tracks ON DELETE CASCADE
);
COMMENT ON COLUMN segments.ordinal IS 'Position among the current segments of the track, from 0.';
COMMENT ON COLUMN segments.enhanced_revision IS
    'Revision that the enhancer has read; below 1 another number each time it is to read it.';
COMMENT ON COLUMN segments.is_final IS 'False while a live segment still grows.';
CREATE INDEX segments_in_order ON segments (meeting_id, track, ordinal) WHERE NOT retracted;
CREATE INDEX segments_unenhanced ON segments (meeting_id)
    WHERE enhanced_revision < revision AND NOT retracted;

CREATE TABLE reports (
    meeting_id    text NOT NULL REFERENCES meetings ON DELETE CASCADE,
    version       integer NOT NULL,
    audio_version bigint NOT NULL,
    report        json NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (meeting_id, version)
);

CREATE TABLE deliveries (
    meeting_id     text NOT NULL,
    report_version integer NOT NULL,
    channel        text NOT NULL,
    state          text NOT NULL CHECK (state IN ('pending', 'sent', 'skipped', 'failed')),
    reason         text,
    updated_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (meeting_id, report_version, channel),
    FOREIGN KEY (meeting_id, report_version) REFERENCES reports ON DELETE CASCADE
);

CREATE TABLE live_sessions (
    meeting_id  text NOT NULL REFERENCES meetings ON DELETE CASCADE,
    track       text NOT NULL,
    session_id  text NOT NULL,
    codec       text NOT NULL,
    sample_rate integer NOT NULL,
    channels    smallint NOT NULL,
    next_frame  bigint NOT NULL DEFAULT 0,
    next_seq    integer NOT NULL DEFAULT 0,
    size_bytes  bigint NOT NULL DEFAULT 0,
    open_until  timestamptz,
    PRIMARY KEY (meeting_id, track)
);
COMMENT ON TABLE live_sessions IS 'A track that is numbered by frames, and the one socket that may write it.';
COMMENT ON COLUMN live_sessions.track IS 'Track as its sender named it; split channels have their own.';
COMMENT ON COLUMN live_sessions.size_bytes IS 'Audio that is durable so far.';
COMMENT ON COLUMN live_sessions.open_until IS 'Holds the meeting open until then; null once stopped.';
CREATE INDEX live_sessions_open ON live_sessions (open_until) WHERE open_until IS NOT NULL;

CREATE TABLE live_workers (
    worker   text PRIMARY KEY,
    capacity double precision NOT NULL,
    streams  integer NOT NULL,
    seen_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE live_workers IS 'How many live streams each worker can caption, by its own measure.';

CREATE TABLE events (
    meeting_id text NOT NULL REFERENCES meetings ON DELETE CASCADE,
    event      bigint NOT NULL,
    kind       text NOT NULL CHECK (kind IN ('update', 'retract')),
    segment_id text NOT NULL,
    track      text NOT NULL,
    segment    jsonb,
    PRIMARY KEY (meeting_id, event)
);
COMMENT ON TABLE events IS 'Every change of a transcript under its number, to be replayed.';
COMMENT ON COLUMN events.segment IS 'The segment as it stood after the change; null for a retraction.';

CREATE TABLE security_audit_events (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created_at  timestamptz NOT NULL DEFAULT now(),
    outcome     text NOT NULL CHECK (outcome IN ('allow', 'deny')),
    endpoint    text NOT NULL,
    method      text NOT NULL,
    subject     text NOT NULL,
    auth_type   text NOT NULL,
    reason      text NOT NULL,
    error_code  text,
    status_code integer NOT NULL,
    client_ip   text,
    meeting_id  text,
    times       bigint NOT NULL DEFAULT 1,
    fold        text UNIQUE
);
COMMENT ON COLUMN security_audit_events.times IS 'Events that were folded into this row.';
COMMENT ON COLUMN security_audit_events.fold IS 'Events of the same key share a row; null: one alone.';
CREATE INDEX security_audit_events_newest ON security_audit_events (created_at DESC);
CREATE INDEX security_audit_events_by_outcome ON security_audit_events (outcome, id DESC);
CREATE INDEX security_audit_events_by_subject ON security_audit_events (subject, id DESC);

CREATE TABLE security_audit_batches (
    batch_id  text PRIMARY KEY,
    stored_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE security_audit_batches IS 'Batches of audit rows that are stored, so that none is stored twice.';
CREATE INDEX security_audit_batches_oldest ON security_audit_batches (stored_at);

CREATE TABLE deletions (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    meeting_id   text NOT NULL,
    cause        text NOT NULL CHECK (cause IN ('request', 'retention_audio', 'retention_text')),
    requested_by text NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now(),
    finished_at  timestamptz,
    counts       jsonb NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE deletions IS 'Proof of what was deleted, when and for whom; holds no content.';
COMMENT ON COLUMN deletions.counts IS 'How many rows, files and bytes are gone so far, by kind.';
CREATE INDEX deletions_by_meeting ON deletions (meeting_id, id);
CREATE UNIQUE INDEX deletions_going_on ON deletions (meeting_id, cause)
    WHERE finished_at IS NULL;

CREATE TABLE deleted_chunks (
    number      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deletion_id bigint NOT NULL REFERENCES deletions,
    sha256      bytea NOT NULL
);
COMMENT ON TABLE deleted_chunks IS 'Digests of the audio that a deletion removed.';
CREATE INDEX deleted_chunks_of_deletion ON deleted_chunks (deletion_id, number);

CREATE TABLE storage_identity (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    marker   text NOT NULL
);
COMMENT ON TABLE storage_identity IS 'Marker of the folder of the audio, to tell it from an empty mount point.';

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

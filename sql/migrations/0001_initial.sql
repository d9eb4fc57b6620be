-- The first schema: meetings and their audio, the work that is due, and what came out of it.

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
    text_deleted_at   timestamptz
);
COMMENT ON COLUMN meetings.audio_version IS 'Chunks accepted so far; grows with each.';
COMMENT ON COLUMN meetings.closed_version IS 'audio_version at which the transcript was closed.';
COMMENT ON COLUMN meetings.reported_version IS 'audio_version that the newest report covers.';
COMMENT ON COLUMN meetings.version IS 'Number of the newest transcript and report.';
COMMENT ON COLUMN meetings.event IS 'Number of the last change of the transcript.';

CREATE INDEX meetings_newest ON meetings (created_at DESC, meeting_id DESC);
CREATE INDEX meetings_newest_of_owner ON meetings (owner, created_at DESC, meeting_id DESC);

CREATE TABLE tracks (
    meeting_id   text NOT NULL REFERENCES meetings ON DELETE CASCADE,
    track        text NOT NULL,
    speaker_hint text,
    language     text,
    checkpoint   jsonb,
    heard_s      double precision NOT NULL DEFAULT 0,
    PRIMARY KEY (meeting_id, track)
);

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
    PRIMARY KEY (meeting_id, track, seq),
    UNIQUE (meeting_id, track, idempotency_key),
    FOREIGN KEY (meeting_id, track) REFERENCES tracks ON DELETE CASCADE
);
COMMENT ON COLUMN chunks.upload_track IS 'Track that the sender named; split channels have their own.';
COMMENT ON COLUMN chunks.blob_key IS 'Null once the audio was deleted by retention.';
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
    PRIMARY KEY (meeting_id, stage, track)
);
COMMENT ON TABLE stage_work IS 'How far each stage is wanted and how far it is; due_at null: idle.';
COMMENT ON COLUMN stage_work.put_off_since IS 'When work that was put off was due first.';
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
    event             bigint NOT NULL,
    retracted         boolean NOT NULL DEFAULT false,
    PRIMARY KEY (meeting_id, segment_id),
    FOREIGN KEY (meeting_id, track) REFERENCES tracks ON DELETE CASCADE
);
COMMENT ON COLUMN segments.ordinal IS 'Position among the current segments of the track, from 0.';
COMMENT ON COLUMN segments.enhanced_revision IS
    'Revision that the enhancer has read; below 1 another number each time it is to read it.';
CREATE UNIQUE INDEX segments_by_event ON segments (meeting_id, event);
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

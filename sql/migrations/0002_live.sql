-- Live audio: sessions that send frames, a log of what listeners are told, workers that caption.

ALTER TABLE tracks ADD COLUMN live boolean NOT NULL DEFAULT false;
ALTER TABLE tracks ADD COLUMN live_checkpoint jsonb;
COMMENT ON COLUMN tracks.live IS 'Whether the track is captioned while its audio comes.';
ALTER TABLE tracks ADD COLUMN offset_s double precision NOT NULL DEFAULT 0;
COMMENT ON COLUMN tracks.offset_s IS 'Seconds from the start of the meeting to that of the track.';
ALTER TABLE meetings ADD COLUMN origin_at timestamptz;
COMMENT ON COLUMN meetings.origin_at IS 'When its first live track began; null without one.';

ALTER TABLE chunks ADD COLUMN first_frame bigint;
ALTER TABLE chunks ADD COLUMN last_frame bigint;
COMMENT ON COLUMN chunks.first_frame IS 'First frame of a live session in this chunk; null for others.';

ALTER TABLE segments ADD COLUMN is_final boolean NOT NULL DEFAULT true;
COMMENT ON COLUMN segments.is_final IS 'False while a live segment still grows.';
-- Numbers are given when the change is logged, under the key of the log.
ALTER TABLE segments ALTER COLUMN event SET DEFAULT 0;
DROP INDEX segments_by_event;

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

-- Transcripts from before the log: their segments as they stand, under the numbers they have.
INSERT INTO events (meeting_id, event, kind, segment_id, track, segment)
SELECT meeting_id, event, CASE WHEN retracted THEN 'retract' ELSE 'update' END, segment_id, track,
    CASE WHEN NOT retracted THEN jsonb_build_object(
        'start', start_s, 'end', end_s, 'raw_text', raw_text, 'text', text, 'words', words,
        'changes', changes, 'confidence', confidence, 'language', language,
        'first_seq', first_seq, 'last_seq', last_seq, 'revision', revision,
        'is_final', is_final, 'enhanced', enhanced_revision = revision) END
FROM segments;

-- Who was let in and who was not, and what was deleted.

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

ALTER TABLE stage_work ADD COLUMN leased_at timestamptz;
ALTER TABLE stage_work ADD COLUMN discarded_at timestamptz;
COMMENT ON COLUMN stage_work.leased_at IS 'When the newest lease was taken.';
COMMENT ON COLUMN stage_work.discarded_at IS 'Whatever failed before is no longer listed as given up on.';

ALTER TABLE chunks ADD COLUMN failed_at timestamptz;
ALTER TABLE chunks ADD COLUMN discarded_at timestamptz;
COMMENT ON COLUMN chunks.discarded_at IS 'Whatever failed before is no longer listed as given up on.';
CREATE INDEX chunks_failed ON chunks (meeting_id, track) WHERE state = 'failed';

ALTER TABLE meetings ADD COLUMN deleted_at timestamptz;
COMMENT ON COLUMN meetings.deleted_at IS 'Set when the deletion began: nobody sees the meeting since.';
CREATE INDEX meetings_to_close ON meetings (greatest(last_audio_at, finish_requested_at))
    WHERE closed_version IS DISTINCT FROM audio_version AND deleted_at IS NULL
        AND greatest(last_audio_at, finish_requested_at) IS NOT NULL;
CREATE INDEX meetings_with_content ON meetings (created_at)
    WHERE text_deleted_at IS NULL AND deleted_at IS NULL;

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

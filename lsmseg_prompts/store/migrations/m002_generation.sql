-- Attempts that are about no class or several attributes, that were sent and maybe lost, or that
-- belong to a batch; who is asking what; texts of people's own; reviews.

-- A process that asks. One that was killed is known by its silence or its pid.
CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    started_at TEXT NOT NULL,
    seen_at REAL NOT NULL,
    ended_at TEXT
);

CREATE TABLE batches (
    id TEXT PRIMARY KEY,
    vocabulary TEXT NOT NULL REFERENCES vocabularies(name),
    llm TEXT NOT NULL REFERENCES llms(name),
    host TEXT,
    remote_id TEXT,
    status TEXT NOT NULL,
    calls TEXT NOT NULL,
    created_at TEXT NOT NULL,
    ended_at TEXT
);

-- Whoever asks for a cell claims it first: `owner` is a run's id, or a batch's.
CREATE TABLE claims (
    vocabulary TEXT NOT NULL,
    class_index INTEGER NOT NULL,
    attribute TEXT NOT NULL,
    llm TEXT NOT NULL,
    owner TEXT NOT NULL,
    PRIMARY KEY (vocabulary, class_index, attribute, llm)
) WITHOUT ROWID;

CREATE INDEX claims_of_owner ON claims (owner);

CREATE TABLE attempts_2 (
    id INTEGER PRIMARY KEY,
    purpose TEXT NOT NULL DEFAULT 'describe'
        CHECK (purpose IN ('describe', 'attributes', 'check-images', 'names')),
    state TEXT NOT NULL DEFAULT 'ended' CHECK (state IN ('sent', 'ended', 'lost')),
    vocabulary TEXT,
    class_index INTEGER,
    attribute TEXT REFERENCES attributes(name),
    attributes TEXT,
    llm TEXT NOT NULL REFERENCES llms(name),
    run TEXT REFERENCES runs(id),
    batch TEXT REFERENCES batches(id),
    host TEXT,
    try INTEGER NOT NULL DEFAULT 1,
    template_hash TEXT REFERENCES templates(hash),
    asked_model TEXT NOT NULL,
    served_model TEXT,
    parameters TEXT NOT NULL DEFAULT '{}',
    prompt TEXT NOT NULL,
    history TEXT,
    reply TEXT,
    verdict TEXT,
    finish_reason TEXT,
    input_tokens INTEGER,
    output_tokens INTEGER,
    cost_usd REAL,
    cost_is_bound INTEGER NOT NULL DEFAULT 0,
    http_status INTEGER,
    error_class TEXT,
    error_message TEXT,
    request_id TEXT,
    started_at TEXT NOT NULL,
    duration_seconds REAL,
    FOREIGN KEY (vocabulary, class_index) REFERENCES classes(vocabulary, class_index)
);

INSERT INTO attempts_2 (
    id, vocabulary, class_index, attribute, llm, template_hash, asked_model, served_model,
    parameters, prompt, reply, finish_reason, input_tokens, output_tokens, cost_usd,
    http_status, error_class, error_message, request_id, started_at, duration_seconds
) SELECT
    id, vocabulary, class_index, attribute, llm, template_hash, asked_model, served_model,
    parameters, prompt, reply, finish_reason, input_tokens, output_tokens, cost_usd,
    http_status, error_class, error_message, request_id, started_at, duration_seconds
FROM attempts;

-- They were judged when they came; one without a verdict would be judged anew.
UPDATE attempts_2 SET verdict = 'judged before verdicts were kept' WHERE reply NOT NULL;

DROP TABLE attempts;

ALTER TABLE attempts_2 RENAME TO attempts;

CREATE INDEX attempts_of_cell ON attempts (vocabulary, class_index, attribute, llm);

CREATE INDEX attempts_under_way ON attempts (run) WHERE state = 'sent';

ALTER TABLE descriptions ADD COLUMN source TEXT NOT NULL DEFAULT 'llm'
    CHECK (source IN ('llm', 'human', 'import'));

-- No rerun overwrites a locked text. A stale one is to be asked anew (--redo).
ALTER TABLE descriptions ADD COLUMN locked INTEGER NOT NULL DEFAULT 0;

ALTER TABLE descriptions ADD COLUMN stale INTEGER NOT NULL DEFAULT 0;

ALTER TABLE descriptions ADD COLUMN review TEXT;

CREATE INDEX descriptions_of_text ON descriptions (vocabulary, llm, attribute, text);

CREATE TABLE edits (
    id INTEGER PRIMARY KEY,
    vocabulary TEXT NOT NULL,
    class_index INTEGER NOT NULL,
    attribute TEXT NOT NULL,
    llm TEXT NOT NULL,
    old_text TEXT,
    new_text TEXT,
    edited_at TEXT NOT NULL
);

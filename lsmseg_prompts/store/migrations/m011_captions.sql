-- What vision models tell of pictures, and what such questions are filed under.

CREATE TABLE attempts_2 (
    id INTEGER PRIMARY KEY,
    purpose TEXT NOT NULL DEFAULT 'describe' CHECK (
        purpose IN (
            'describe', 'attributes', 'check-images', 'names', 'rewrite', 'picture', 'captions'
        )
    ),
    state TEXT NOT NULL DEFAULT 'ended' CHECK (state IN ('sent', 'ended', 'lost')),
    vocabulary TEXT,
    class_index INTEGER,
    attribute TEXT REFERENCES attributes(name),
    attributes TEXT,
    llm TEXT NOT NULL REFERENCES llms(name),
    run TEXT REFERENCES runs(id),
    batch TEXT REFERENCES batches(id),
    host TEXT,
    attempt_number INTEGER NOT NULL DEFAULT 1,
    template_hash TEXT REFERENCES templates(hash),
    question TEXT,
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
    system TEXT,
    thoughts TEXT,
    reasoning_tokens INTEGER,
    budget TEXT,
    FOREIGN KEY (vocabulary, class_index) REFERENCES classes(vocabulary, class_index)
);

INSERT INTO attempts_2 SELECT
    id, purpose, state, vocabulary, class_index, attribute, attributes, llm, run, batch, host,
    attempt_number, template_hash, question, asked_model, served_model, parameters, prompt, history,
    reply, verdict, finish_reason, input_tokens, output_tokens, cost_usd, cost_is_bound,
    http_status, error_class, error_message, request_id, started_at, duration_seconds, system,
    thoughts, reasoning_tokens, budget
FROM attempts;

DROP TABLE attempts;

ALTER TABLE attempts_2 RENAME TO attempts;

CREATE INDEX attempts_of_cell ON attempts (vocabulary, class_index, attribute, llm);

CREATE INDEX attempts_under_way ON attempts (run) WHERE state = 'sent';

CREATE INDEX attempts_of_question ON attempts (question);

-- data: the benchmark, or the folder. picture: the benchmark's key, or the file's name; sha256: of
-- its pixels. objects, relations: JSON; NULL where the reply could not be used, for the `reason`.
-- cost_usd: of all questions about the picture with this template.
CREATE TABLE captions (
    data TEXT NOT NULL,
    picture TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    llm TEXT NOT NULL REFERENCES llms(name),
    template_hash TEXT NOT NULL REFERENCES templates(hash),
    objects TEXT,
    relations TEXT,
    reason TEXT,
    reply TEXT,
    cost_usd REAL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (data, picture, sha256, llm, template_hash),
    CHECK ((objects IS NULL) = (reason IS NOT NULL) AND (objects IS NULL) = (relations IS NULL))
) WITHOUT ROWID;

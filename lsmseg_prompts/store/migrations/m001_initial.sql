-- Vocabularies, classes, attributes, LLMs, templates, attempts, descriptions, evaluations.

CREATE TABLE vocabularies (
    name TEXT PRIMARY KEY,
    title TEXT NOT NULL,
    class_count INTEGER NOT NULL
);

-- A class is its place in its vocabulary: equal names may mean different things.
CREATE TABLE classes (
    vocabulary TEXT NOT NULL REFERENCES vocabularies(name),
    class_index INTEGER NOT NULL,
    name TEXT NOT NULL,
    readable TEXT NOT NULL,
    sense TEXT,
    synonyms TEXT NOT NULL DEFAULT '[]',
    PRIMARY KEY (vocabulary, class_index)
);

CREATE TABLE attributes (
    name TEXT PRIMARY KEY,
    meaning TEXT,
    kind TEXT NOT NULL DEFAULT 'user' CHECK (kind IN ('paper', 'pseudo', 'user'))
);

CREATE TABLE llms (
    name TEXT PRIMARY KEY,
    provenance TEXT
);

CREATE TABLE templates (
    hash TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    text TEXT NOT NULL
);

CREATE TABLE attempts (
    id INTEGER PRIMARY KEY,
    vocabulary TEXT NOT NULL,
    class_index INTEGER NOT NULL,
    attribute TEXT NOT NULL REFERENCES attributes(name),
    llm TEXT NOT NULL REFERENCES llms(name),
    template_hash TEXT REFERENCES templates(hash),
    asked_model TEXT NOT NULL,
    served_model TEXT,
    parameters TEXT NOT NULL DEFAULT '{}',
    prompt TEXT NOT NULL,
    reply TEXT,
    finish_reason TEXT,
    input_tokens INTEGER,
    output_tokens INTEGER,
    cost_usd REAL,
    http_status INTEGER,
    error_class TEXT,
    error_message TEXT,
    request_id TEXT,
    started_at TEXT NOT NULL,
    duration_seconds REAL,
    FOREIGN KEY (vocabulary, class_index) REFERENCES classes(vocabulary, class_index)
);

CREATE INDEX attempts_of_cell ON attempts (vocabulary, class_index, attribute, llm);

-- 77 is CLIP's context length; a text that does not fit can never become 'done'.
CREATE TABLE descriptions (
    vocabulary TEXT NOT NULL,
    class_index INTEGER NOT NULL,
    attribute TEXT NOT NULL REFERENCES attributes(name),
    llm TEXT NOT NULL REFERENCES llms(name),
    text TEXT,
    tokens INTEGER,
    status TEXT NOT NULL CHECK (status IN ('done', 'failed')),
    reason TEXT,
    template_hash TEXT REFERENCES templates(hash),
    attempt_id INTEGER REFERENCES attempts(id),
    updated_at TEXT NOT NULL,
    PRIMARY KEY (vocabulary, class_index, attribute, llm),
    FOREIGN KEY (vocabulary, class_index) REFERENCES classes(vocabulary, class_index),
    CHECK (status <> 'done' OR (text IS NOT NULL AND tokens IS NOT NULL
                                AND tokens BETWEEN 3 AND 77))
);

CREATE TABLE evaluations (
    id INTEGER PRIMARY KEY,
    created_at TEXT NOT NULL,
    run TEXT,
    stage TEXT,
    benchmark TEXT NOT NULL,
    split TEXT,
    pictures INTEGER,
    model TEXT NOT NULL,
    weights_hash TEXT,
    vocabulary TEXT,
    llm TEXT,
    prompt_set TEXT NOT NULL,
    attributes TEXT NOT NULL DEFAULT '[]',
    composition TEXT,
    subset TEXT NOT NULL DEFAULT 'all',
    miou REAL,
    miou_low REAL,
    miou_high REAL,
    details TEXT NOT NULL DEFAULT '{}'
);

CREATE VIEW current_descriptions AS
    SELECT d.vocabulary, d.class_index, c.name AS class, c.readable, d.attribute, d.llm,
           d.text, d.tokens, d.updated_at
    FROM descriptions AS d
    JOIN classes AS c USING (vocabulary, class_index)
    WHERE d.status = 'done'
    ORDER BY d.vocabulary, d.class_index, d.llm, d.attribute;

-- The token budget belongs to the model that reads a text: the schema has no bound of its own.

-- tokens: of CLIP's byte pairs; other_tokens: JSON, {tokenizer: tokens} of others; budget: the
-- name of the one that the text was written for, NULL for CLIP's 77.
DROP VIEW current_descriptions;

DROP VIEW pairs;

CREATE TABLE descriptions_2 (
    vocabulary TEXT NOT NULL,
    class_index INTEGER NOT NULL,
    attribute TEXT NOT NULL REFERENCES attributes(name),
    llm TEXT NOT NULL REFERENCES llms(name),
    text TEXT,
    tokens INTEGER,
    other_tokens TEXT,
    budget TEXT,
    status TEXT NOT NULL CHECK (status IN ('done', 'failed')),
    reason TEXT,
    template_hash TEXT REFERENCES templates(hash),
    attempt_id INTEGER REFERENCES attempts(id),
    updated_at TEXT NOT NULL,
    source TEXT NOT NULL DEFAULT 'llm' CHECK (source IN ('llm', 'human', 'import')),
    locked INTEGER NOT NULL DEFAULT 0,
    stale INTEGER NOT NULL DEFAULT 0,
    review TEXT,
    PRIMARY KEY (vocabulary, class_index, attribute, llm),
    FOREIGN KEY (vocabulary, class_index) REFERENCES classes(vocabulary, class_index),
    CHECK (status <> 'done' OR (text IS NOT NULL AND tokens IS NOT NULL AND tokens >= 3))
);

INSERT INTO descriptions_2 (
    vocabulary, class_index, attribute, llm, text, tokens, status, reason, template_hash,
    attempt_id, updated_at, source, locked, stale, review
) SELECT
    vocabulary, class_index, attribute, llm, text, tokens, status, reason, template_hash,
    attempt_id, updated_at, source, locked, stale, review
FROM descriptions ORDER BY rowid;

DROP TABLE descriptions;

ALTER TABLE descriptions_2 RENAME TO descriptions;

CREATE INDEX descriptions_of_text ON descriptions (vocabulary, llm, attribute, text);

CREATE VIEW current_descriptions AS
    SELECT d.vocabulary, d.class_index, c.name AS class, c.readable, d.attribute, d.llm,
           d.text, d.tokens, d.updated_at
    FROM descriptions AS d
    JOIN classes AS c USING (vocabulary, class_index)
    WHERE d.status = 'done'
    ORDER BY d.vocabulary, d.class_index, d.llm, d.attribute;

CREATE VIEW pairs AS
    SELECT d.vocabulary, d.class_index, c.name AS class, substr(d.attribute, 10) AS other, d.llm,
           d.text, d.tokens, d.status, d.source, d.updated_at
    FROM descriptions AS d
    JOIN classes AS c USING (vocabulary, class_index)
    WHERE d.attribute GLOB 'contrast:*'
    ORDER BY d.vocabulary, d.class_index, d.llm, d.attribute;

-- Every count of every description, by tokenizer.
CREATE VIEW token_counts AS
    SELECT vocabulary, class_index, attribute, llm, 'clip' AS tokenizer, tokens
    FROM descriptions WHERE tokens IS NOT NULL
    UNION ALL
    SELECT d.vocabulary, d.class_index, d.attribute, d.llm, j.key, j.value
    FROM descriptions AS d, json_each(d.other_tokens) AS j;

-- The budget of a question: its reply is judged by it whenever that is read.
ALTER TABLE attempts ADD COLUMN budget TEXT;

WITH budgets (budget, most) AS (VALUES {budgets}),
-- Thin rows: the texts of tens of thousands of cells are read, few are shown.
cells AS (
    SELECT d.rowid AS cell, d.vocabulary, d.class_index, d.attribute, d.llm, d.text,
        coalesce(d.budget, 'clip') AS budget, d.other_tokens, d.tokens,
        lower(c.readable) AS readable, lower(c.name) AS name, c.synonyms
    FROM descriptions AS d JOIN classes AS c USING (vocabulary, class_index)
    WHERE d.status = 'done'
        AND (:vocabulary = '' OR d.vocabulary = :vocabulary) AND (:llm = '' OR d.llm = :llm)
),
used AS (
    SELECT cell, budget, most,
        coalesce((SELECT value FROM json_each(other_tokens)), tokens) AS tokens
    FROM cells JOIN budgets USING (budget)
),
same AS (
    SELECT rowid AS cell, first_value(rowid) OVER places AS first_cell
    FROM descriptions WHERE status = 'done' AND :rule IN ('', 'duplicate')
    WINDOW places AS (
        PARTITION BY lower(trim(text)), vocabulary, llm ORDER BY class_index, attribute
    )
),
findings AS (
    SELECT 'tokens' AS rule, cell,
        tokens || ' tokens, ' || (tokens - most) || ' too many for ' || budget AS finding,
        'shorten it: store edit' AS what_to_do
    FROM used WHERE tokens > most
    UNION ALL
    SELECT 'class-named', cell, 'does not name ' || readable,
        'if it is no plural, which store lint knows: store edit'
    FROM cells
    WHERE :rule IN ('', 'class-named')
        AND NOT instr(lower(text), readable) AND NOT instr(lower(text), name)
        AND NOT EXISTS (SELECT 1 FROM json_each(synonyms) WHERE instr(lower(text), lower(value)))
    UNION ALL
    SELECT 'duplicate', same.cell, 'the same text as ' || c.readable || '/' || d.attribute,
        'say what sets it apart: store edit, or generate --redo'
    FROM same
    JOIN descriptions AS d ON d.rowid = first_cell
    JOIN classes AS c USING (vocabulary, class_index)
    WHERE same.cell <> first_cell
    UNION ALL
    SELECT 'failed', rowid, reason, 'ask again: generate --retry-errors; or store edit'
    FROM descriptions WHERE status = 'failed'
    UNION ALL
    SELECT 'stale', rowid, 'to be asked anew', 'the next generate asks'
    FROM descriptions WHERE stale
    UNION ALL
    SELECT 'review', rowid, review, 'read it, then store edit or store lock'
    FROM descriptions WHERE review IS NOT NULL
    UNION ALL
    SELECT 'locked', rowid, 'no rerun overwrites it', 'nothing; store unlock frees it'
    FROM descriptions WHERE locked
)
SELECT
    {base} || 'class_texts?vocabulary=' || {url d.vocabulary} || '&class=' || d.class_index AS link,
    f.rule, d.vocabulary, d.class_index, c.readable AS class, d.attribute, d.llm, f.finding,
    f.what_to_do, d.text
FROM findings AS f
JOIN descriptions AS d ON d.rowid = f.cell
JOIN classes AS c USING (vocabulary, class_index)
WHERE :rule IN ('', f.rule)
    AND (:vocabulary = '' OR d.vocabulary = :vocabulary) AND (:llm = '' OR d.llm = :llm)
ORDER BY d.vocabulary, d.llm, d.class_index, d.attribute, f.rule

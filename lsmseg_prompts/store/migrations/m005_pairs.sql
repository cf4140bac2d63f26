-- Pair cells are descriptions whose attribute names another class: "contrast:horse".

CREATE VIEW pairs AS
    SELECT d.vocabulary, d.class_index, c.name AS class, substr(d.attribute, 10) AS other, d.llm,
           d.text, d.tokens, d.status, d.source, d.updated_at
    FROM descriptions AS d
    JOIN classes AS c USING (vocabulary, class_index)
    WHERE d.attribute GLOB 'contrast:*'
    ORDER BY d.vocabulary, d.class_index, d.llm, d.attribute;

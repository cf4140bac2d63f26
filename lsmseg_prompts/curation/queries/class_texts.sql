SELECT
    {base} || 'cell_history?vocabulary=' || {url d.vocabulary} || '&class=' || d.class_index
        || '&attribute=' || {url d.attribute} || '&llm=' || {url d.llm} AS link,
    d.vocabulary, d.class_index, c.readable AS class, d.attribute, d.llm, d.status, d.text,
    d.tokens, coalesce(d.budget, 'clip') AS budget, d.source, d.taken_from, d.locked,
    d.stale, d.review, d.reason, d.updated_at
FROM descriptions AS d JOIN classes AS c USING (vocabulary, class_index)
WHERE {class c}
ORDER BY d.vocabulary, d.class_index, d.attribute, d.llm

SELECT {base} || 'attempts/' || a.id AS link, a.id, a.started_at, a.vocabulary, c.readable AS class,
    coalesce(a.attribute, a.attributes) AS attribute, a.llm, a.asked_model, a.served_model,
    a.purpose, a.state, a.verdict, a.input_tokens, a.output_tokens, a.cost_usd, a.cost_is_bound,
    a.prompt, a.thoughts, a.reply, a.error_class, a.error_message
FROM attempts AS a JOIN classes AS c USING (vocabulary, class_index)
WHERE {class c}
    AND (
        :attribute IN ('', a.attribute)
        OR :attribute IN (SELECT value FROM json_each(a.attributes))
    )
    AND (:llm = '' OR a.llm = :llm)
ORDER BY a.id

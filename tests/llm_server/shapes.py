"""What OpenAI's and DashScope's interfaces look like on the wire, for the tests' LLM server."""

from __future__ import annotations

import json
import time
from typing import Any

_OPENAI_ERRORS = {
    400: ("invalid_request_error", None, "The request is not valid."),
    401: (
        "invalid_request_error",
        "invalid_api_key",
        "Incorrect API key provided. You can find your API key at "
        "https://platform.openai.com/account/api-keys.",
    ),
    403: (
        "request_forbidden",
        "unsupported_country_region_territory",
        "Country, region, or territory not supported",
    ),
    404: (
        "invalid_request_error",
        "model_not_found",
        "The model `{model}` does not exist or you do not have access to it.",
    ),
    429: (
        "requests",
        "rate_limit_exceeded",
        "Rate limit reached for {model} on requests per min (RPM): Limit 3, Used 3, Requested 1.",
    ),
    500: ("server_error", None, "The server had an error while processing your request. Sorry!"),
    503: ("server_error", None, "That model is currently overloaded with other requests."),
}
_DASHSCOPE_ERRORS = {
    400: ("InvalidParameter", "The request parameters are not valid."),
    401: ("InvalidApiKey", "Invalid API-key provided."),
    403: ("AccessDenied", "Access denied."),
    404: ("ModelNotFound", "Model can not be found."),
    429: ("Throttling.RateQuota", "Requests rate limit exceeded, please try again later."),
    500: ("InternalError", "An internal error has occurred, please try again later."),
    503: ("ModelServingError", "The model serving is busy, please try again later."),
}
QUOTA = "You exceeded your current quota, please check your plan and billing details."


class Shape:
    """One interface: where things stand in a request, and how a reply and an error look."""

    name = ""

    def messages(self, body: dict[str, Any]) -> list[Any]:
        raise NotImplementedError

    def parameters(self, body: dict[str, Any]) -> dict[str, Any]:
        raise NotImplementedError

    def reply(self, **facts: Any) -> dict[str, Any]:
        raise NotImplementedError

    def drop_choices(self, reply: dict[str, Any]) -> None:
        raise NotImplementedError

    def error(self, number: int, model: str, rule: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        raise NotImplementedError

    def add_thoughts(self, reply: dict[str, Any], thoughts: str, tokens: int) -> None:
        """Thoughts beside the text, and how many of the output tokens they were."""
        choices = reply.get("output", reply)["choices"]
        choices[0]["message"]["reasoning_content"] = thoughts
        name = "output_tokens_details" if "output" in reply else "completion_tokens_details"
        reply["usage"][name] = {"reasoning_tokens": tokens}

    def pieces(self, reply: dict[str, Any]) -> bytes:
        """The reply as server-sent events: its text in two pieces, then the end and the usage."""
        choice = reply.pop("choices")[0]
        text, usage = choice["message"]["content"], reply.pop("usage")
        half = len(text) // 2
        events: list[dict[str, Any]] = [
            {"choices": [{"index": 0, "delta": {"role": "assistant", "content": text[:half]}}]},
            {"choices": [{"index": 0, "delta": {"content": text[half:]}}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]},
            {"choices": [], "usage": usage},
        ]
        lines = [f"data: {json.dumps({**reply, **event})}\n\n" for event in events]
        return "".join([*lines, "data: [DONE]\n\n"]).encode()

    def wanted(self, parameters: dict[str, Any], messages: list[Any]) -> tuple[Any, bool]:
        """The JSON schema of the answer, if one is given, and whether JSON is wanted."""
        form = parameters.get("response_format") or {}
        schema = (form.get("json_schema") or {}).get("schema")
        asked = bool(messages) and "JSON object" in str(messages[-1].get("content"))
        return schema, asked or form.get("type") in ("json_object", "json_schema")

    def output_limit(self, parameters: dict[str, Any]) -> int | None:
        """The most tokens that the answer may have."""
        limit = parameters.get("max_completion_tokens", parameters.get("max_tokens"))
        return None if limit is None else int(limit)


class _OpenAI(Shape):
    name = "openai"

    def messages(self, body: dict[str, Any]) -> list[Any]:
        return list(body.get("messages") or [])

    def parameters(self, body: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in body.items() if key not in ("model", "messages")}

    def reply(self, **facts: Any) -> dict[str, Any]:
        refusal = facts["refusal"]
        message = {
            "role": "assistant",
            "content": None if refusal else facts["text"],
            "refusal": refusal,
            "annotations": [],
        }
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": facts["finish"],
        }
        used, made = facts["prompt_tokens"], facts["output_tokens"]
        return {
            "id": f"chatcmpl-{facts['number']:024x}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": facts["model"],
            "choices": [choice],
            "usage": {
                "prompt_tokens": used,
                "completion_tokens": made,
                "total_tokens": used + made,
            },
            "service_tier": "default",
            "system_fingerprint": None,
        }

    def drop_choices(self, reply: dict[str, Any]) -> None:
        reply["choices"] = []

    def error(self, number: int, model: str, rule: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        status = int(rule.get("status", 429))
        kind, code, message = _OPENAI_ERRORS.get(status, ("server_error", None, "Server error."))
        if rule.get("insufficient_quota"):
            kind = code = "insufficient_quota"
            message = QUOTA
        error = {
            "message": rule.get("message", message.replace("{model}", model)),
            "type": rule.get("type", kind),
            "param": rule.get("param"),
            "code": rule.get("code", code),
        }
        return status, {"error": error}


class _DashScope(Shape):
    name = "dashscope"

    def messages(self, body: dict[str, Any]) -> list[Any]:
        given = body.get("input") or {}
        prompt = [{"role": "user", "content": given["prompt"]}] if "prompt" in given else []
        return list(given.get("messages") or prompt)

    def parameters(self, body: dict[str, Any]) -> dict[str, Any]:
        return dict(body.get("parameters") or {})

    def reply(self, **facts: Any) -> dict[str, Any]:
        text, finish = facts["text"], facts["finish"]
        if facts["parameters"].get("result_format") == "message":
            content = [{"text": text}] if facts["parameters"].get("multimodal") else text
            message = {"role": "assistant", "content": content}
            output: dict[str, Any] = {"choices": [{"finish_reason": finish, "message": message}]}
        else:  # what the native interface answers unless told otherwise
            output = {"text": text, "finish_reason": finish}
        used, made = facts["prompt_tokens"], facts["output_tokens"]
        return {
            "output": output,
            "usage": {"input_tokens": used, "output_tokens": made, "total_tokens": used + made},
            "request_id": request_id(facts["number"]),
        }

    def drop_choices(self, reply: dict[str, Any]) -> None:
        reply["output"] = {"choices": []}

    def error(self, number: int, model: str, rule: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        quota = rule.get("insufficient_quota")
        status = int(rule.get("status", 400 if quota else 500))
        code, message = _DASHSCOPE_ERRORS.get(status, ("InternalError", "Internal error."))
        if quota:
            code = "Arrearage"
            message = "Access denied, please make sure your account is in good standing."
        return status, {
            "code": rule.get("code", code),
            "message": rule.get("message", message),
            "request_id": request_id(number),
        }


class _DashScopePictures(_DashScope):
    """The multimodal service: contents are lists of parts, also in the reply."""

    def parameters(self, body: dict[str, Any]) -> dict[str, Any]:
        return {**super().parameters(body), "result_format": "message", "multimodal": True}


OPENAI = _OpenAI()
DASHSCOPE = _DashScope()
DASHSCOPE_PICTURES = _DashScopePictures()


def request_id(number: int) -> str:
    """An id that looks like the providers' and says which request it was."""
    return f"{number:08x}-0000-4000-8000-{number:012x}"

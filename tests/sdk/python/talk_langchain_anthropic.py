"""LangChain's chat model for Anthropic."""

import anthropic
from langchain_anthropic import ChatAnthropic
from talk import API_KEY, BASE_URL
from talk_langchain import conversations

errors = anthropic.APIError


def chat(model, **more):
    return ChatAnthropic(model=model, base_url=BASE_URL, api_key=API_KEY, **{"max_tokens": 500, **more})


def thinker(model):
    return chat(model, max_tokens=2000, thinking={"type": "enabled", "budget_tokens": 1024})


globals().update(conversations(chat, thinker))

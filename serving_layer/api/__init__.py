"""The interface, declared once: parameters, answers, endpoints. A handler's signature is its declaration. Pure.

`serving_layer.requests.answering` calls the handlers. May import `http_semantics`, and of `rescoring` which kinds of
query there are.
"""

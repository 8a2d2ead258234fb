"""The OpenAPI document of the interface, made from the endpoints' declarations. Pure.

May import `api`.
"""

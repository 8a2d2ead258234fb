"""What HTTP says whatever the service (RFC 9110, RFC 9457): problems, content negotiation, codings, request bodies.

Imports nothing of this service.
"""

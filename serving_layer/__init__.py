"""The serving layer: HTTP over a model in memory.

From top to bottom, each room imports from those below it alone (the contract stands in `setup.cfg`):

====================================  =================================================================================
`bootstrap`, `startup`, `app`         put the rest together
`connections`                         sockets: accepted, bounded, and what is plain answered at once
`handlers`                            the endpoints
`queries`                             what the endpoints that read share
`requests`                            what is around every request: middleware, log, routes, keys of the application
`pages`, `openapi`, `api`             the console and the documentation; parameters and answers, declared once
`following`, `epoch_sources`          which generation is served, loaded aside, followed, swapped
`ingestion`, `producing`              bulk bodies, read and spooled; writes on their way to Kafka
`rescoring`                           business rules as plug-ins
`search`, `model`, `index`            the best items of a model; the model that is served; exact search in its items
`http_semantics`                      what HTTP says, whatever the service: problems, negotiation, codings, bodies
`event_loop`, `metrics`               sharing the one event loop; what is counted
====================================  =================================================================================
"""

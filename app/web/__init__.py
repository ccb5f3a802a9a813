"""The web pages: what the API serves, as people look at it.

Every page is rendered here and works by links and forms alone; htmx and a few small scripts keep it alive. What a page
shows is a plain dataclass of `app.web.views`, built from wire models, and a template that lays it out.
"""

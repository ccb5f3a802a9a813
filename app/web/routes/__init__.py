"""Routes of pages. They ask the services that the API asks, and none is part of the API's own description."""

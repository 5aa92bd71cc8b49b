"""Serving: the web pages and the REST API over a project, and the server that runs them.

`app.create_app` is the Flask application, `server.serve` runs it; they are imported from their own files, so that the
process that only looks after the workers stays small. A page calls the same function as the API
(`predictor.answer_rows`) and renders the same object.
"""

"""The studio: a local page on which prompts are tried, compared, written and measured.

options.py, state.py  what it is opened with, and what all pages share
app.py, serve.py      the application of all pages, and the server that it runs in
web/                  who may come in, what is asked and answered, what takes longer
trying/ comparing/ texts/ runs/   a folder a page; its template and script have the page's name
static_site/          runs and pictures as plain files
"""

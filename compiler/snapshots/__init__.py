"""Rules of a repository's manifests, kept in git: what is compiled, compared and reviewed.

`proxyrules.yaml` names the snapshots (`file`, `schema`); `expand` compiles one for its nodes from a
`tree` of files, which is the work tree or a commit that `git` wrote to a folder. `directory`
compares the result with the files that are kept, `review` with the result of another commit.
Nothing here prints, and nothing but temporary folders is written.
"""

"""What the plan reference says of what a person owned: an example, what happens with it, and what becomes of an asset."""

from workflows.names import AssetResult

#: What may become of one asset.
ASSET_RESULTS = {
    AssetResult.MOVED: "it is somebody else's now",
    AssetResult.ANONYMISED: "it stays where it is, without the person's name",
    AssetResult.DELETED: "it is gone",
    AssetResult.ALREADY_OWNED: "the write was refused, and it belongs to the successor: an earlier attempt had done it",
    AssetResult.NOT_FOUND: "it wasn't there any more",
    AssetResult.REFUSED: "refused for good, and told with its code: `not_owner` where it belongs to somebody else by now. "
    "One that is still the person's stops the retirement as ERRORED (`assets_refused`)",
    AssetResult.RETRYING: "not yet: it is asked for again",
}

OWNERSHIP_EXAMPLE = """\
plan: team
subject:
  lookup:
    service: accounts
    request: {method: GET, path: "/users/{{ user_id }}"}
    fields: {email: "{{ body.email }}", name: "{{ body.name }}", team: "{{ body.team }}", locked: "{{ body.locked }}"}
facts:
  leads:
    service: accounts
    request: {method: GET, path: "/teams/{{ subject.team }}/leads"}
    items: body.users
    next_page: body.next
successors:
  colleague:
    candidates:
      - service: accounts
        request: {method: GET, path: "/teams/{{ subject.team }}/leads"}
        items: body.users
        id: item.id
        next_page: body.next
    suitable:
      service: accounts
      request: {method: GET, path: "/users/{{ successor.id }}"}
      when: not body.locked and body.team == subject.team
      fields: {name: "{{ body.name }}"}
mail:
  from: accounts@acme.example
  operators: [ops@acme.example]
  admins: ["{{ facts.leads | map(attribute='email') }}"]
services:
  accounts: {base_url: "${env:ACCOUNTS_URL}", auth: {type: bearer, token: "${env:ACCOUNTS_TOKEN}"}}
  wiki: {base_url: "${env:WIKI_URL}", auth: {type: bearer, token: "${env:WIKI_TOKEN}"}}
steps:
  lock:
    phase: freeze
    service: accounts
    request: {method: POST, path: "/users/{{ user_id }}/lock"}
    undo: {when: "not subject.locked", request: {method: POST, path: "/users/{{ user_id }}/unlock"}}
  pages:
    phase: transfer
    service: wiki
    successor: colleague
    assets:
      request: {method: GET, path: /pages, query: {owner: "{{ user_id }}"}}
      items: body.pages
      id: item.id
      type: item.kind
      title: item.title
      next_page: body.next
      owner: {request: {method: GET, path: "/pages/{{ asset.id }}"}, value: body.owner}
    request:
      method: PUT
      path: "/pages/{{ asset.id }}/owner"
      json: {owner: "{{ successor.id }}", expected: "{{ user_id }}"}
    absent: [404]
  comments:
    phase: transfer
    service: wiki
    assets:
      request: {method: GET, path: /comments, query: {author: "{{ user_id }}"}}
      items: body.comments
      id: item.id
      next_page: body.next
      settled_when: item.author_name == pseudonym
      becomes: anonymised
    request:
      method: PATCH
      path: "/comments/{{ asset.id }}"
      json: {author_name: "{{ pseudonym }}", author: "{{ user_id }}"}
  profile:
    phase: erase
    service: accounts
    request: {method: DELETE, path: "/users/{{ user_id }}"}
    absent: [404]
    probe: {request: {method: GET, path: "/users/{{ user_id }}"}}
"""

OWNERSHIP = """## What the person owned

Pages, customers, groups: what others need goes to somebody else, stays without a name, or goes with the person. \
`transfer` steps say which, and run right after the point of no return: nothing is erased before all of them are through.

```yaml
{example}```

**What is there.** `assets` lists it. \
The list is read page by page and kept encrypted, ids and titles alike; outside of mails to admins only numbers are told.
A database gives no pages and at most 1000 rows: write `LIMIT 1000`, and the list is read again when those are done.

**Who takes over.** `successors` holds policies by name; a step names one as its `successor`. \
Somebody is chosen only where there is something to hand over (for a step without `assets`, always): \
whom the request for the retirement names, \
else the first candidate of whom the service that owns the role says that they may.
`suitable` is asked at the check, again after the cool-off, and once more right before the first write. \
Who asked for somebody gets them or nobody: nobody else takes their place in silence.

**Nobody is suitable:** the retirement ends ABORTED (`no_successor`) before anything is frozen, \
or, after the cool-off, once everything is restored; the admins get a mail with the list of what would be orphaned.
After the point of no return it ends ERRORED (`successor_lost`) with no erase step begun; \
a resume that names another successor goes on.
Whoever is being retired themselves takes over nothing.

**Each asset once.** The step's `request` is made for each. \
Send along whose the asset has to be (`expected` above, or a version in `If-Match`): \
the service then refuses what somebody else got in the meantime, and `owner` tells whose it is.
When all are through the list is read again, until it is empty; \
`settled_when` passes over what stays listed although it is done with.

| an asset becomes | means |
|---|---|
{asset_results}

**What the request does** is told by `becomes`: `moved`, `anonymised` or `deleted`. Usual ways:

| you want | write |
|---|---|
| somebody else to have it | `successor: …`, and `{{{{ successor.id }}}}` in the request |
| a \"deleted user\" to have it | `{{{{ pseudonym }}}}` in the request; \
a transfer step without `assets` that makes that account, and `after` |
| it to stay, without the name | `becomes: anonymised`, `{{{{ pseudonym }}}}` for the name, and `settled_when` |
| it to go | `becomes: deleted` |
| the service to move everything when the account goes | no transfer step: \
`successor: …` in the *erase* step, and `?reassign_to={{{{ successor.id }}}}` |

[The cookbook](cookbook.md) has each of them to paste.
"""

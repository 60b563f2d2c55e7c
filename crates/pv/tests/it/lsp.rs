//! The language server, spoken to by a client over its standard input and output.

use crate::report::repository;
use contract::date::Date;
use contract::diagnostic::Severity;
use falsify::{Claim, falsifier};
use lsp_server::{Connection, Message, Notification, Request};
use pv::commands::lint::{Args, judged};
use pv::context::Context;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Long enough for a busy machine; a server that is silent fails the test.
const PATIENCE: Duration = Duration::from_secs(60);

const CONTRACT: &str = "schema: 1
metadata: {id: a-v1, version: 1.0.0, kind: kernel, title: t, description: d, references: [r]}
proof_obligations:
- {id: OBL-A, type: invariant, property: p, applies_to: all}
implementation_stages:
- {id: M-A-1, description: d, accepts: [FALSIFY-A-1]}
- {id: M-A-2, description: d, after: [M-A-1], accepts: [FALSIFY-B-1]}
falsification_tests:
- id: FALSIFY-A-1
  rule: a rule about ü
  prediction: p
  if_fails: i
  obligations: [OBL-A]
  claim: {metric: predicate}
  test: {package: p, target: lib, path: holds}
  faults: {none: n}
";

const OTHER: &str = "schema: 1
metadata: {id: b-v1, version: 1.0.0, kind: kernel, title: t, description: d, references: [r], depends_on: [a-v1]}
falsification_tests:
- {id: FALSIFY-B-1, rule: r, prediction: p, if_fails: i, proposed: {reason: later}}
";

const TEST: &str = "//! FALSIFY-A-1 in a comment.
use falsify::{Claim, falsifier};

#[falsifier(\"FALSIFY-A-1\")]
fn holds(claim: &mut Claim) {
    claim.check(\"x\", true);
}
";

struct Client {
    server: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    /// What came while something else was waited for.
    heard: Vec<Value>,
    id: u64,
}

impl Client {
    fn start(dir: &Path) -> Self {
        let mut server = Command::new(env!("CARGO_BIN_EXE_pv"))
            .arg("lsp")
            .current_dir(dir)
            .env_remove("PV_ROOT")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, mut out) = (server.stdin.take().unwrap(), BufReader::new(server.stdout.take().unwrap()));
        let (sender, from) = channel();
        std::thread::spawn(move || {
            loop {
                let mut length = 0;
                loop {
                    let mut line = String::new();
                    if out.read_line(&mut line).unwrap_or(0) == 0 {
                        return;
                    }
                    if line.trim().is_empty() {
                        break;
                    }
                    if let Some(number) = line.strip_prefix("Content-Length: ") {
                        length = number.trim().parse().unwrap();
                    }
                }
                let mut body = vec![0; length];
                out.read_exact(&mut body).unwrap();
                if sender.send(serde_json::from_slice(&body).unwrap()).is_err() {
                    return;
                }
            }
        });
        let mut client = Self { server, to, from, heard: Vec::new(), id: 0 };
        let folder = json!({"uri": uri(dir, ""), "name": "w"});
        let answer = client
            .ask("initialize", json!({"capabilities": {}, "processId": null, "workspaceFolders": [folder]}));
        assert_eq!(answer["result"]["capabilities"]["hoverProvider"], true, "{answer}");
        client.tell("initialized", json!({}));
        client
    }

    fn send(&mut self, message: &Value) {
        let body = message.to_string();
        write!(self.to, "Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        self.to.flush().unwrap();
    }

    fn tell(&mut self, method: &str, params: Value) {
        self.send(&json!({"jsonrpc": "2.0", "method": method, "params": params}));
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.id += 1;
        let id = self.id;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        self.wait(|message| message["id"] == id)
    }

    /// The first message of a kind, among those that came already and those to come.
    fn wait(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.heard.iter().position(&wanted) {
            return self.heard.remove(at);
        }
        loop {
            let message = self.from.recv_timeout(PATIENCE).expect("the server answers");
            if wanted(&message) {
                return message;
            }
            self.heard.push(message);
        }
    }

    /// The next findings of a file, as rule, line and column, both from 0.
    fn findings(&mut self, uri: &str) -> Vec<(String, u64, u64)> {
        let message = self.wait(|message| {
            message["method"] == "textDocument/publishDiagnostics" && message["params"]["uri"] == uri
        });
        let all = message["params"]["diagnostics"].as_array().unwrap().iter();
        let place = |finding: &Value, key: &str| finding["range"]["start"][key].as_u64().unwrap();
        let finding = |finding: &Value| {
            let rule = finding["code"].as_str().unwrap_or_default().to_owned();
            (rule, place(finding, "line"), place(finding, "character"))
        };
        all.map(finding).collect()
    }

    fn open(&mut self, uri: &str, text: &str) {
        let document = json!({"uri": uri, "languageId": "yaml", "version": 1, "text": text});
        self.tell("textDocument/didOpen", json!({"textDocument": document}));
    }

    fn change(&mut self, uri: &str, text: &str) {
        let document = json!({"uri": uri, "version": 2});
        let params = json!({"textDocument": document, "contentChanges": [{"text": text}]});
        self.tell("textDocument/didChange", params);
    }

    /// Ask about the place of the first `mark` in a text, some characters into it.
    fn about(&mut self, method: &str, uri: &str, text: &str, mark: &str, into: usize) -> Value {
        let (line, character) = place(text, mark, into);
        let position = json!({"line": line, "character": character});
        let answer = self.ask(method, json!({"textDocument": {"uri": uri}, "position": position}));
        assert!(answer["error"].is_null(), "{answer}");
        answer["result"].clone()
    }

    fn labels(&mut self, uri: &str, text: &str, mark: &str) -> Vec<String> {
        self.change(uri, text);
        let items = self.about("textDocument/completion", uri, text, mark, mark.len());
        let items = items.as_array().cloned().unwrap_or_default();
        items.iter().map(|item| item["label"].as_str().unwrap().to_owned()).collect()
    }

    fn goodbye(mut self) {
        assert!(self.ask("shutdown", Value::Null)["error"].is_null());
        self.tell("exit", Value::Null);
        assert_eq!(self.server.wait().unwrap().code(), Some(0));
    }
}

/// Line and column of some characters into the first `mark` of a text, both from 0, in UTF-16 units.
fn place(text: &str, mark: &str, into: usize) -> (usize, usize) {
    let at = text.find(mark).expect(mark) + into;
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    (text[..at].matches('\n').count(), text[start..at].encode_utf16().count())
}

fn uri(dir: &Path, file: &str) -> String {
    format!("file://{}/{file}", dir.canonicalize().unwrap().display())
}

fn workspace() -> tempfile::TempDir {
    repository(&[
        ("contracts/a-v1.yaml", CONTRACT),
        ("contracts/b-v1.yaml", OTHER),
        ("tests/t.rs", TEST),
        (
            "Cargo.toml",
            "[package]\nname = \"p\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n[lib]\npath = \"tests/t.rs\"\n",
        ),
    ])
}

#[test]
fn findings_follow_the_text_in_the_editor() {
    let dir = workspace();
    let (a, b) = (uri(dir.path(), "contracts/a-v1.yaml"), uri(dir.path(), "contracts/b-v1.yaml"));
    let mut client = Client::start(dir.path());
    // A wrong key behind a character of two bytes, one after a character of two units.
    let wrong = CONTRACT.replace("if_fails: i", "x-ü: {𝄞: 1, é: 2}\n  if_fail: i");
    client.open(&a, &wrong);
    let found = client.findings(&a);
    let (line, character) = place(&wrong, "if_fail:", 0);
    assert!(found.contains(&("unknown-key".to_owned(), line as u64, character as u64)), "{found:?}");
    let inline = CONTRACT.replace("{metric: predicate}", "{x-𝄞: 1, metrik: predicate}");
    client.change(&a, &inline);
    let (line, character) = place(&inline, "metrik", 0);
    let found = client.findings(&a);
    assert!(found.contains(&("unknown-key".to_owned(), line as u64, character as u64)), "{found:?}");
    // Repaired, and nothing is left of it.
    client.change(&a, CONTRACT);
    assert_eq!(client.findings(&a), []);
    // A change of one file is judged in the others, as it stands in the editor.
    client.change(&a, &CONTRACT.replace("id: FALSIFY-A-1", "id: FALSIFY-B-1"));
    assert!(client.findings(&a).iter().any(|(rule, ..)| rule == "duplicate-id"));
    assert!(client.findings(&b).iter().any(|(rule, ..)| rule == "duplicate-id"));
    // The disk counts again when it is closed.
    client.tell("textDocument/didClose", json!({"textDocument": {"uri": a}}));
    assert_eq!(client.findings(&a), []);
    assert_eq!(client.findings(&b), []);
    // What is no YAML, no contract or no file of this world ends nothing.
    client.open("untitled:Untitled-1", "\t");
    client.open(&a, "\u{0}{{{");
    assert_eq!(client.findings(&a)[0].0, "encoding");
    client.tell("textDocument/didChange", json!({"nonsense": true}));
    assert_eq!(client.ask("textDocument/hover", json!([]))["error"]["code"], -32602);
    assert_eq!(client.ask("workspace/unheardOf", json!({}))["error"]["code"], -32601);
    client.goodbye();
}

#[test]
fn a_wrong_pv_toml_is_shown_in_it() {
    let dir = workspace();
    std::fs::write(dir.path().join("pv.toml"), "pv = \"0.1\"\n[lint.severity]\ncycel = \"off\"\n").unwrap();
    let mut client = Client::start(dir.path());
    let settings = uri(dir.path(), "pv.toml");
    assert_eq!(client.findings(&settings)[0].1, 2);
    std::fs::write(dir.path().join("pv.toml"), "pv = \"0.1\"\n").unwrap();
    client.tell("textDocument/didSave", json!({"textDocument": {"uri": settings}}));
    assert_eq!(client.findings(&settings), []);
    client.goodbye();
}

#[test]
fn hover_tells_the_status_and_definitions_lead_both_ways() {
    let dir = workspace();
    let (a, b) = (uri(dir.path(), "contracts/a-v1.yaml"), uri(dir.path(), "contracts/b-v1.yaml"));
    let t = uri(dir.path(), "tests/t.rs");
    let mut client = Client::start(dir.path());
    client.open(&a, CONTRACT);
    let hover = |client: &mut Client, uri: &str, text: &str, mark: &str| {
        let answer = client.about("textDocument/hover", uri, text, mark, 3);
        answer["contents"]["value"].as_str().unwrap_or_default().to_owned()
    };
    let said = hover(&mut client, &a, CONTRACT, "FALSIFY-A-1\n");
    for part in ["FALSIFY-A-1", "ALGORITHM_LEVEL_DISCHARGED", "a rule about ü", "no evidence"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(hover(&mut client, &b, OTHER, "FALSIFY-B-1").contains("PROPOSED"));
    assert!(hover(&mut client, &t, TEST, "FALSIFY-A-1\"").contains("a rule about ü"), "the attribute");
    assert!(hover(&mut client, &a, CONTRACT, "M-A-1, desc").contains("of 1 accepted"));
    assert_eq!(hover(&mut client, &t, TEST, "FALSIFY-A-1 in a comment"), "");

    let definition = |client: &mut Client, uri: &str, text: &str, mark: &str| -> Vec<(String, u64, u64)> {
        let answer = client.about("textDocument/definition", uri, text, mark, 2);
        let all = answer.as_array().cloned().unwrap_or_default();
        let start = |place: &Value, key: &str| place["range"]["start"][key].as_u64().unwrap();
        let one = |place: &Value| {
            (place["uri"].as_str().unwrap().to_owned(), start(place, "line"), start(place, "character"))
        };
        all.iter().map(one).collect()
    };
    let at = |uri: &str, text: &str, mark: &str, into: usize| {
        let (line, character) = place(text, mark, into);
        vec![(uri.to_owned(), line as u64, character as u64)]
    };
    let in_yaml = at(&a, CONTRACT, "id: FALSIFY-A-1", 4);
    assert_eq!(definition(&mut client, &a, CONTRACT, "FALSIFY-A-1\n"), at(&t, TEST, "\"FALSIFY-A-1\"", 0));
    assert_eq!(definition(&mut client, &t, TEST, "\"FALSIFY-A-1\""), in_yaml);
    assert_eq!(definition(&mut client, &a, CONTRACT, "FALSIFY-A-1]"), in_yaml);
    assert_eq!(definition(&mut client, &a, CONTRACT, "FALSIFY-B-1]"), at(&b, OTHER, "FALSIFY-B-1", 0));
    assert_eq!(definition(&mut client, &a, CONTRACT, "OBL-A]"), at(&a, CONTRACT, "OBL-A", 0));
    assert_eq!(definition(&mut client, &a, CONTRACT, "M-A-1], acc"), at(&a, CONTRACT, "M-A-1", 0));
    assert_eq!(definition(&mut client, &b, OTHER, "a-v1]"), at(&a, CONTRACT, "a-v1", 0));
    assert_eq!(definition(&mut client, &a, CONTRACT, "rule:"), []);
    client.goodbye();
}

#[test]
fn completion_knows_ids_metrics_and_stages_in_half_written_text() {
    let dir = workspace();
    let a = uri(dir.path(), "contracts/a-v1.yaml");
    let mut client = Client::start(dir.path());
    client.open(&a, CONTRACT);
    let half = |from: &str, to: &str| CONTRACT.replace(from, to);
    let labels = client.labels(&a, &half("{metric: predicate}", "{metric: "), "{metric: ");
    assert!(labels.contains(&"max_abs".to_owned()) && labels.contains(&"predicate".to_owned()), "{labels:?}");
    let labels = client.labels(&a, &half("accepts: [FALSIFY-B-1]", "accepts: [FALSIFY-A-1, FAL"), "A-1, FAL");
    assert_eq!(labels, ["FALSIFY-A-1", "FALSIFY-B-1"]);
    let labels = client.labels(&a, &half("after: [M-A-1]", "after: ["), "after: [");
    assert_eq!(labels, ["M-A-1", "M-A-2"]);
    let labels = client.labels(&a, &half("obligations: [OBL-A]", "obligations:\n  - "), "obligations:\n  - ");
    assert_eq!(labels, ["OBL-A"]);
    let labels =
        client.labels(&a, &half("references: [r]", "references: [r], depends_on: [b"), "depends_on: [b");
    assert_eq!(labels, ["b-v1"]);
    assert_eq!(client.labels(&a, &half("rule: a rule about ü", "rule: "), "rule: "), Vec::<String>::new());
    client.goodbye();
}

#[test]
fn a_quick_fix_repairs_what_it_is_for() {
    let dir = workspace();
    let a = uri(dir.path(), "contracts/a-v1.yaml");
    let mut client = Client::start(dir.path());
    let wrong = CONTRACT.replace("if_fails: i", "if_fail: i   # where");
    client.open(&a, &wrong);
    assert!(!client.findings(&a).is_empty());
    let (line, character) = place(&wrong, "if_fail:", 1);
    let at = json!({"line": line, "character": character});
    let params = json!({"textDocument": {"uri": a}, "range": {"start": at, "end": at}, "context": {"diagnostics": []}});
    let answer = client.ask("textDocument/codeAction", params);
    let actions = answer["result"].as_array().unwrap();
    assert_eq!(actions.len(), 1, "{answer}");
    assert_eq!(actions[0]["kind"], "quickfix");
    let edit = &actions[0]["edit"]["changes"][&a][0];
    assert_eq!(edit["newText"], "if_fails");
    let (start, end) = (&edit["range"]["start"], &edit["range"]["end"]);
    assert_eq!((start["line"].as_u64(), end["line"].as_u64()), (Some(line as u64), Some(line as u64)));
    let mut lines: Vec<String> = wrong.lines().map(str::to_owned).collect();
    let columns = start["character"].as_u64().unwrap() as usize..end["character"].as_u64().unwrap() as usize;
    lines[line].replace_range(columns, "if_fails");
    client.change(&a, &(lines.join("\n") + "\n"));
    assert_eq!(client.findings(&a), []);
    client.goodbye();
}

/// A finding: severity, line and column from 0, rule, message with label and help.
type Shown = (u64, u64, u64, String, String);

/// What `pv lint` reports of a tree, by file.
fn said_by_lint(context: &Context, dir: &Path) -> BTreeMap<String, Vec<Shown>> {
    let mut said: BTreeMap<String, Vec<Shown>> = BTreeMap::new();
    judged(&Args::default(), context, |report| {
        for finding in &report.findings {
            let severity = match finding.severity {
                Severity::Error => 1,
                Severity::Warning => 2,
                Severity::Note => 3,
            };
            let start = finding.location.start;
            let more = [&finding.label, &finding.help].into_iter().flatten();
            let message =
                std::iter::once(&finding.message).chain(more).cloned().collect::<Vec<_>>().join("\n");
            let shown = (
                severity,
                u64::from(start.line) - 1,
                u64::from(start.column) - 1,
                finding.rule.to_string(),
                message,
            );
            let file = finding.location.path.to_str().unwrap();
            said.entry(uri(dir, file)).or_default().push(shown);
        }
        Ok(())
    })
    .unwrap();
    said
}

/// Take in what the server has published until it has answered a request, which it does after all edits.
fn shown_by_server(client: &Connection, id: i32, shown: &mut BTreeMap<String, Vec<Shown>>) {
    let ask = Request::new(id.into(), "workspace/unheardOf".to_owned(), json!({}));
    client.sender.send(Message::Request(ask)).unwrap();
    loop {
        match client.receiver.recv_timeout(PATIENCE).expect("the server answers") {
            Message::Response(response) if response.id == id.into() => return,
            Message::Notification(said) if said.method == "textDocument/publishDiagnostics" => {
                let place = |finding: &Value, key: &str| finding["range"]["start"][key].as_u64().unwrap();
                let all = said.params["diagnostics"].as_array().unwrap().iter().map(|finding| {
                    (
                        finding["severity"].as_u64().unwrap(),
                        place(finding, "line"),
                        place(finding, "character"),
                        finding["code"].as_str().unwrap().to_owned(),
                        finding["message"].as_str().unwrap().to_owned(),
                    )
                });
                let file = said.params["uri"].as_str().unwrap().to_owned();
                shown.insert(file, all.collect());
            }
            _ => {}
        }
    }
}

#[falsifier("FALSIFY-PV-LINT-004")]
fn an_editor_shows_what_the_command_line_says(claim: &mut Claim) {
    let dir = workspace();
    let context = Context::at(dir.path().canonicalize().unwrap(), Date::parse("2026-11-20").unwrap());
    let (server, client) = Connection::memory();
    let broken = CONTRACT.replace("if_fails: i", "if_fail: i").replace("FALSIFY-B-1]", "FALSIFY-X-1]");
    let file = "contracts/a-v1.yaml";
    let allowed = broken
        .replace("if_fail: i", "if_fails: i")
        .replace("schema: 1\n", "schema: 1\n# pv: allow-file(dangling-reference): not written yet\n");
    // Texts of no more than Latin letters, so that both sides count columns alike.
    let otherwise = broken.replace("if_fail: i", "iffails: i");
    let edits: [(&str, &str, String); 6] = [
        ("opened", "textDocument/didOpen", CONTRACT.replace('ü', "u")),
        ("broken", "textDocument/didChange", broken.replace('ü', "u")),
        ("broken otherwise", "textDocument/didChange", otherwise.replace('ü', "u")),
        ("allowed", "textDocument/didChange", allowed.replace('ü', "u")),
        ("repaired", "textDocument/didChange", CONTRACT.replace('ü', "u")),
        ("closed", "textDocument/didClose", String::new()),
    ];
    std::thread::scope(|scope| {
        let serving = scope.spawn(|| pv::lsp::serve(&context, &server));
        let folder = json!({"uri": uri(dir.path(), ""), "name": "w"});
        let hello = json!({"capabilities": {}, "processId": null, "workspaceFolders": [folder]});
        client.sender.send(Message::Request(Request::new(0.into(), "initialize".to_owned(), hello))).unwrap();
        let tell = |method: &str, params: Value| {
            client.sender.send(Message::Notification(Notification::new(method.to_owned(), params))).unwrap();
        };
        tell("initialized", json!({}));
        let mut shown = BTreeMap::new();
        for (id, (name, method, text)) in (1..).zip(edits) {
            let document =
                json!({"uri": uri(dir.path(), file), "languageId": "yaml", "version": id, "text": text});
            tell(method, json!({"textDocument": document, "contentChanges": [{"text": text}]}));
            shown_by_server(&client, id, &mut shown);
            let on_disk = if method == "textDocument/didClose" { CONTRACT } else { &text };
            std::fs::write(dir.path().join(file), on_disk).unwrap();
            let mut said = said_by_lint(&context, dir.path());
            // A file without findings is shown as such, or was never spoken of.
            said.retain(|_, all| !all.is_empty());
            let shown: BTreeMap<_, _> = shown
                .iter()
                .filter(|(_, all)| !all.is_empty())
                .map(|(u, all)| (u.clone(), all.clone()))
                .collect();
            let found = said.values().map(Vec::len).sum::<usize>();
            let wanted = name.starts_with("broken")
                == said.values().flatten().any(|(.., rule, _)| rule == "unknown-key");
            claim
                .at("edit", name)
                .check(&format!("{found} findings on both sides: {shown:?}"), shown == said && wanted);
            std::fs::write(dir.path().join(file), CONTRACT).unwrap();
        }
        client
            .sender
            .send(Message::Request(Request::new(99.into(), "shutdown".to_owned(), Value::Null)))
            .unwrap();
        tell("exit", Value::Null);
        assert!(serving.join().unwrap().is_ok(), "the server says goodbye");
    });
}

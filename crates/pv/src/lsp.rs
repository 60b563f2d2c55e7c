//! The language server: what `pv lint` knows, while one types. It reads what is open in the editor instead of the
//! disk, compiles nothing and writes nothing.
//!
//! `document` finds what stands at a position, `answer` says what is known of it, `convert` speaks the protocol's
//! positions. This module keeps the state and the conversation.

mod answer;
mod convert;
mod document;

use crate::binding::Bindings;
use crate::cache::Cache;
use crate::context::Context;
use crate::error::Error;
use crate::lint::levels::Levels;
use crate::lint::{self, Comments};
use crate::workspace::{Open, Workspace};
use contract::diagnostic::Diagnostic;
use contract::outline::Outline;
use contract::root::Root;
use contract::source::Source;
use fault::fault;
use lsp_server::{Connection, ErrorCode, Message, Notification, ProtocolError, Request, Response};
use lsp_types::notification::{
    DidChangeTextDocument, DidCloseTextDocument, DidOpenTextDocument, DidSaveTextDocument, LogMessage,
    Notification as _, PublishDiagnostics, ShowMessage,
};
use lsp_types::request::{CodeActionRequest, Completion, GotoDefinition, HoverRequest, Request as _};
use lsp_types::{
    CodeActionKind, CodeActionOptions, CodeActionProviderCapability, CompletionOptions,
    HoverProviderCapability, InitializeParams, MessageType, OneOf, PublishDiagnosticsParams, SaveOptions,
    ServerCapabilities, ShowMessageParams, TextDocumentSyncCapability, TextDocumentSyncKind,
    TextDocumentSyncOptions, TextDocumentSyncSaveOptions, Uri,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// Why a conversation ended early.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The client left the protocol.
    #[error("the editor left the protocol: {0}")]
    Protocol(#[from] ProtocolError),
    /// The client is gone.
    #[error("the editor is gone")]
    Gone,
}

/// What the server offers.
fn capabilities() -> ServerCapabilities {
    ServerCapabilities {
        text_document_sync: Some(TextDocumentSyncCapability::Options(TextDocumentSyncOptions {
            open_close: Some(true),
            change: Some(TextDocumentSyncKind::FULL),
            save: Some(TextDocumentSyncSaveOptions::SaveOptions(SaveOptions::default())),
            ..TextDocumentSyncOptions::default()
        })),
        hover_provider: Some(HoverProviderCapability::Simple(true)),
        definition_provider: Some(OneOf::Left(true)),
        completion_provider: Some(CompletionOptions {
            trigger_characters: Some([" ", "[", "-", "\""].map(str::to_owned).to_vec()),
            ..CompletionOptions::default()
        }),
        code_action_provider: Some(CodeActionProviderCapability::Options(CodeActionOptions {
            code_action_kinds: Some(vec![CodeActionKind::QUICKFIX]),
            ..CodeActionOptions::default()
        })),
        ..ServerCapabilities::default()
    }
}

/// Serve one client until it says goodbye. Returns whether it did.
///
/// # Errors
/// When the client leaves the protocol or goes away.
pub fn serve(context: &Context, connection: &Connection) -> Result<(), ServerError> {
    let offered = serde_json::to_value(capabilities()).unwrap_or_default();
    let asked = connection.initialize(offered)?;
    let asked: InitializeParams = serde_json::from_value(asked).unwrap_or_default();
    let mut server = Server::new(context.near(&folder(&asked, context)), connection);
    server.known_bindings();
    server.check()?;
    for message in &connection.receiver {
        match message {
            Message::Request(request) => {
                if connection.handle_shutdown(&request)? {
                    return Ok(());
                }
                let response = server.answer(request);
                server.send(Message::Response(response))?;
            }
            Message::Notification(notification) => server.hear(notification)?,
            // The server asks nothing.
            Message::Response(_) => {}
        }
    }
    Err(ServerError::Gone)
}

/// The folder that the client works in.
fn folder(asked: &InitializeParams, context: &Context) -> PathBuf {
    #[expect(deprecated, reason = "older clients name nothing else")]
    let single = asked.root_uri.as_ref();
    let folder = asked.workspace_folders.as_ref().and_then(|folders| folders.first());
    let uri = folder.map(|folder| &folder.uri).or(single);
    uri.and_then(convert::path).unwrap_or_else(|| context.cwd().to_owned())
}

/// The state of a conversation.
struct Server<'c> {
    context: Context,
    connection: &'c Connection,
    /// The texts that are open.
    open: Open,
    cache: Cache,
    /// The tests that were compiled last; kept while one types.
    bindings: Option<Bindings>,
    /// What was found last, by file.
    found: BTreeMap<PathBuf, Vec<Diagnostic>>,
    /// The last outlines: a file that is no YAML for the moment keeps its names.
    outlines: HashMap<PathBuf, Outline>,
    /// Statuses, until something is saved.
    status: Option<answer::Statuses>,
}

impl<'c> Server<'c> {
    fn new(context: Context, connection: &'c Connection) -> Self {
        Self {
            context,
            connection,
            open: Open::new(),
            cache: Cache::default(),
            bindings: None,
            found: BTreeMap::new(),
            outlines: HashMap::new(),
            status: None,
        }
    }

    fn send(&self, message: Message) -> Result<(), ServerError> {
        self.connection.sender.send(message).map_err(|_| ServerError::Gone)
    }

    fn notify<N: lsp_types::notification::Notification>(
        &self,
        params: impl Serialize,
    ) -> Result<(), ServerError> {
        self.send(Message::Notification(Notification::new(N::METHOD.to_owned(), params)))
    }

    /// Something happened in the editor.
    fn hear(&mut self, said: Notification) -> Result<(), ServerError> {
        match said.method.as_str() {
            DidOpenTextDocument::METHOD => {
                if let Some(params) = self.params::<DidOpenTextDocument>(said.params)? {
                    self.replace(&params.text_document.uri, Some(params.text_document.text));
                    self.check()?;
                }
            }
            DidChangeTextDocument::METHOD => {
                if let Some(mut params) = self.params::<DidChangeTextDocument>(said.params)? {
                    // The whole text each time: the last one is what stands there.
                    let text = params.content_changes.pop().map(|change| change.text);
                    if text.is_some() {
                        self.replace(&params.text_document.uri, text);
                        self.check()?;
                    }
                }
            }
            DidCloseTextDocument::METHOD => {
                if let Some(params) = self.params::<DidCloseTextDocument>(said.params)? {
                    self.replace(&params.text_document.uri, None);
                    self.check()?;
                }
            }
            DidSaveTextDocument::METHOD => {
                self.status = None;
                self.known_bindings();
                self.check()?;
            }
            // What is not known is left alone, as the protocol wants.
            _ => {}
        }
        Ok(())
    }

    fn params<N: lsp_types::notification::Notification>(
        &self,
        params: Value,
    ) -> Result<Option<N::Params>, ServerError> {
        match serde_json::from_value(params) {
            Ok(params) => Ok(Some(params)),
            Err(error) => {
                let message = format!("{}: {error}", N::METHOD);
                self.notify::<LogMessage>(ShowMessageParams { typ: MessageType::ERROR, message })?;
                Ok(None)
            }
        }
    }

    fn replace(&mut self, uri: &Uri, text: Option<String>) {
        let Some(path) = convert::path(uri) else { return };
        match text {
            Some(text) => drop(self.open.insert(path, text)),
            None => drop(self.open.remove(&path)),
        }
    }

    /// Read the tests that were compiled last, if no source has changed since.
    fn known_bindings(&mut self) {
        let workspace = self.workspace();
        let Ok(workspace) = workspace else { return };
        let Some(root) = &workspace.repository.root else { return };
        let contracts = workspace.contracts().map(|(_, contract)| contract);
        // What cannot be read leaves bindings unknown, as for `pv lint`.
        let bindings = Bindings::cached(root.dir(), &workspace.repository.settings, contracts).ok().flatten();
        self.bindings = bindings;
    }

    /// The contracts as they stand in the editor.
    fn workspace(&mut self) -> Result<Workspace, Error> {
        let repository = self.context.repository()?;
        // Without a root only what is open is looked at.
        let yaml = |path: &&PathBuf| path.extension().is_some_and(|end| end == "yaml" || end == "yml");
        let paths: Vec<PathBuf> = match &repository.root {
            Some(_) => Vec::new(),
            None => self.open.keys().filter(yaml).filter(|path| path.is_file()).cloned().collect(),
        };
        if repository.root.is_none() && paths.is_empty() {
            return Err(Error::Usage("there is no pv.toml and no contract is open".to_owned()));
        }
        Workspace::of(&self.context, repository, &paths, &mut self.cache, &self.open)
    }

    /// Judge everything and show what was found.
    fn check(&mut self) -> Result<(), ServerError> {
        let mut found: BTreeMap<PathBuf, Vec<Diagnostic>> = BTreeMap::new();
        let mut texts: BTreeMap<PathBuf, Source> = BTreeMap::new();
        let base = self.base();
        let judged = self.workspace().and_then(|mut workspace| {
            let alone = workspace.take_findings();
            let levels = Levels::new(&workspace.repository)?;
            let comments = if fault!("lsp-ignores-comments") { Comments::Ignored } else { Comments::Heeded };
            let findings = lint::run(&workspace, alone, self.bindings.as_ref(), levels, comments);
            let report = workspace.report(findings, false);
            for finding in report.findings {
                found.entry(base.join(&finding.location.path)).or_default().push(finding);
            }
            for file in &workspace.files {
                if let Some(outline) = &file.analysis.outline {
                    self.outlines.insert(file.path.clone(), outline.clone());
                }
            }
            Ok(workspace)
        });
        let shown = match &judged {
            Ok(workspace) => {
                for file in workspace.files.iter().filter(|file| found.contains_key(&file.path)) {
                    texts.insert(file.path.clone(), Source::new(&file.path, file.source.text()));
                }
                None
            }
            Err(Error::Settings { path, problems }) => {
                Some((path.clone(), problems.iter().map(convert::problem).collect::<Vec<_>>()))
            }
            Err(Error::Usage(_)) if self.context.root_if_any().is_none() => None,
            Err(error) => {
                let params = ShowMessageParams { typ: MessageType::ERROR, message: format!("pv: {error}") };
                self.notify::<ShowMessage>(params)?;
                return Ok(());
            }
        };
        let before = std::mem::take(&mut self.found);
        for path in before.keys().filter(|path| !found.contains_key(*path)) {
            self.publish(path, Vec::new())?;
        }
        for (path, findings) in &found {
            if before.get(path) == Some(findings)
                || fault!("lsp-shows-the-first-findings") && before.contains_key(path)
            {
                continue;
            }
            let text = texts.remove(path).or_else(|| self.text(path));
            let text = text.unwrap_or_else(|| Source::new(path, ""));
            let shown = findings.iter().map(|finding| convert::diagnostic(finding, &text, &base)).collect();
            self.publish(path, shown)?;
        }
        self.found = found;
        if let Some((path, problems)) = shown {
            self.publish(&path, problems)?;
            // Not known as findings, and so taken back by the next check.
            self.found.insert(path, Vec::new());
        }
        Ok(())
    }

    fn publish(&self, path: &Path, diagnostics: Vec<lsp_types::Diagnostic>) -> Result<(), ServerError> {
        let Some(uri) = convert::uri(path) else { return Ok(()) };
        self.notify::<PublishDiagnostics>(PublishDiagnosticsParams { uri, diagnostics, version: None })
    }

    /// The folder that paths of findings are relative to.
    fn base(&self) -> PathBuf {
        self.context.root_if_any().unwrap_or(self.context.cwd()).to_owned()
    }

    /// The text of a file, as it stands in the editor or on the disk.
    fn text(&self, path: &Path) -> Option<Source> {
        match self.open.get(path) {
            Some(text) => Some(Source::new(path, text.as_str())),
            None => Source::read(path, path).ok(),
        }
    }

    /// The contract root.
    fn root(&self) -> Option<Root> {
        self.context.root_if_any().map(Root::at)
    }

    /// Answer a request.
    fn answer(&mut self, request: Request) -> Response {
        let Request { id, method, params } = request;
        let answered = match method.as_str() {
            HoverRequest::METHOD => answered::<HoverRequest>(params, |params| self.hover(params)),
            GotoDefinition::METHOD => answered::<GotoDefinition>(params, |params| self.definition(params)),
            Completion::METHOD => answered::<Completion>(params, |params| self.complete(params)),
            CodeActionRequest::METHOD => answered::<CodeActionRequest>(params, |params| self.repairs(params)),
            _ => {
                let message = format!("`{method}` is not offered");
                return Response::new_err(id, ErrorCode::MethodNotFound as i32, message);
            }
        };
        match answered {
            Ok(value) => Response::new_ok(id, value),
            Err(error) => Response::new_err(id, ErrorCode::InvalidParams as i32, error.to_string()),
        }
    }
}

/// Read the parameters of a request and answer it.
fn answered<R: lsp_types::request::Request>(
    params: Value,
    answer: impl FnOnce(R::Params) -> R::Result,
) -> Result<Value, serde_json::Error>
where
    R::Params: DeserializeOwned,
    R::Result: Serialize,
{
    serde_json::to_value(answer(serde_json::from_value(params)?))
}

//! What the scalar twins make of the operations of a script: the arbiters between a wrong kernel and a coarse precision.

use super::Script;
use super::extract::{Part, extract};
use crate::Error;
use crate::session::{Arithmetic, Model, Workbench};
use crate::stage::Site;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::rc::Rc;

/// The twins of a model, made when they are first asked; they keep the weights that they used.
pub struct Arbiters {
    model: Model,
    threads: Option<NonZeroUsize>,
    benches: HashMap<Arithmetic, Workbench>,
    /// What was asked before, by pass.
    known: Option<HashMap<Asked, Rc<[f32]>>>,
}

/// Arithmetic, pass and site.
type Asked = (Arithmetic, usize, Site);

impl Arbiters {
    /// Twins on so many threads.
    #[must_use]
    pub fn new(model: &Model, threads: Option<NonZeroUsize>) -> Self {
        Self { model: model.clone(), threads, benches: HashMap::new(), known: None }
    }

    /// Twins that remember every answer, for many bisections of one script.
    #[must_use]
    pub fn of_one_script(model: &Model, threads: Option<NonZeroUsize>) -> Self {
        Self { known: Some(HashMap::new()), ..Self::new(model, threads) }
    }

    /// What a twin makes of a script's inputs. `last` is the last layer that runs.
    pub(super) fn value(
        &mut self,
        arithmetic: Arithmetic,
        script: &Script,
        (pass, site): (usize, Site),
        positions: &[u32],
        last: usize,
    ) -> Result<Rc<[f32]>, Error> {
        let asked = (arithmetic, pass, site);
        if let Some(value) = self.known.as_ref().and_then(|k| k.get(&asked)) {
            return Ok(Rc::clone(value));
        }
        let part = Part { positions, columns: None };
        let operation = extract(&self.model, script, site, last, part).ok_or_else(|| Error::Operation {
            site: site.to_string(),
            what: "reads what the pass did not record".to_owned(),
        })?;
        let bench = match self.benches.entry(arithmetic) {
            std::collections::hash_map::Entry::Occupied(bench) => bench.into_mut(),
            std::collections::hash_map::Entry::Vacant(none) => {
                none.insert(Workbench::twin(arithmetic, self.threads)?)
            }
        };
        let value: Rc<[f32]> = bench.perform_of_model(&operation)?.into();
        if let Some(known) = &mut self.known {
            known.insert(asked, Rc::clone(&value));
        }
        Ok(value)
    }
}

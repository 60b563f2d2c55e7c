//! One operation alone: a primitive with its operands, and how to perform it on any backend. Knows no file and no pass.

use crate::backend::{Backend, Cols, KvShape, Routes, Rows, Tensor};
use crate::bytes::Bytes;
use crate::config::{Config, Experts, Rope};
use crate::quant::Format;
use crate::stage::{Site, Stage};
use crate::tap::Stop;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Positions that rotation tables are made for at most, and the widest head: half a gigabyte of them.
const LAST_POSITION: u32 = 1 << 18;
const WIDEST_HEAD: usize = 512;
/// Logits that are made to choose experts from, at most.
const MOST_LOGITS: usize = 1 << 26;

/// Numbers of some rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Plane {
    /// Numbers of one row.
    pub width: usize,
    /// `[rows, width]`
    pub values: Vec<f32>,
}

impl Plane {
    /// Its rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.values.len().checked_div(self.width).unwrap_or(0)
    }
}

/// Rows of a tensor of the file.
#[derive(Debug, Clone)]
pub struct Weights {
    /// The tensor's name.
    pub tensor: String,
    /// Its format.
    pub format: Format,
    /// Matrices; 1 where there are no experts.
    pub count: usize,
    /// Rows of one matrix; 1 for a vector.
    pub rows: usize,
    /// Columns, the contiguous axis.
    pub cols: usize,
    /// Column of the result that the first row makes.
    pub col: usize,
    /// Row of the file's matrix that is the first here.
    pub first_row: usize,
    /// Which matrices of the tensor these are (of an embedding, which rows); empty for all of them.
    pub picked: Vec<u32>,
    /// `[count, rows]` rows of blocks.
    pub bytes: Bytes,
}

/// The numbers of a model that an operation depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of one.
    pub head_dim: usize,
    /// Epsilon of the norms.
    pub eps: f32,
    /// The experts; none in a dense model.
    #[serde(with = "written::experts")]
    pub experts: Option<Experts>,
    /// Rotary embedding.
    #[serde(with = "written::RopeForm")]
    pub rope: Rope,
}

/// How parts of a model's shape are written down; the shape itself knows no file.
mod written {
    use crate::config::{Experts, Pairing, Rope};
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    #[serde(remote = "Experts", deny_unknown_fields)]
    struct ExpertsForm {
        count: usize,
        used: usize,
        renormalize: bool,
    }

    #[derive(Serialize, Deserialize)]
    #[serde(remote = "Rope", deny_unknown_fields)]
    pub(super) struct RopeForm {
        base: f64,
        dims: usize,
        #[serde(with = "PairingForm")]
        pairing: Pairing,
        factors: Vec<f32>,
        scale: f64,
    }

    #[derive(Serialize, Deserialize)]
    #[serde(remote = "Pairing", rename_all = "lowercase")]
    enum PairingForm {
        Halves,
        Neighbours,
    }

    /// Experts that may be absent, written as `null`.
    pub(super) mod experts {
        use super::{Experts, ExpertsForm};
        use serde::{Deserialize, Deserializer, Serialize, Serializer};

        #[derive(Serialize, Deserialize)]
        #[serde(transparent)]
        struct Present(#[serde(with = "ExpertsForm")] Experts);

        pub(in crate::operation) fn serialize<S: Serializer>(
            experts: &Option<Experts>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            experts.map(Present).serialize(serializer)
        }

        pub(in crate::operation) fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<Experts>, D::Error> {
            Ok(Option::<Present>::deserialize(deserializer)?.map(|Present(experts)| experts))
        }
    }
}

impl Settings {
    /// Those of a model.
    #[must_use]
    pub fn of(c: &Config) -> Self {
        let Config { heads, kv_heads, head_dim, eps, experts, .. } = *c;
        Self { heads, kv_heads, head_dim, eps, experts, rope: c.rope.clone() }
    }

    /// A shape that says what the primitives ask of one, and nothing else.
    pub(crate) fn config(&self) -> Config {
        let Self { heads, kv_heads, head_dim, eps, experts, ref rope } = *self;
        Config {
            architecture: "",
            layers: 1,
            hidden: 0,
            heads,
            kv_heads,
            head_dim,
            ff: 0,
            vocab: 0,
            experts,
            eps,
            rope: rope.clone(),
            head_norm: false,
            qkv_bias: false,
            context: 0,
        }
    }
}

/// One operation of a pass.
#[derive(Debug, Clone)]
pub struct Operation {
    /// The value that it makes.
    pub site: Site,
    /// What it depends on.
    pub settings: Settings,
    /// Token of each row: of an embedding its row of the weights, else nothing. Output rows: of the final norm.
    pub rows: Rows,
    /// What it reads: the planes that [`Operation::check`] asks for. Of attention the queries of its rows, then keys and
    /// values of all positions up to the last.
    pub inputs: Vec<Plane>,
    /// The experts of its rows, of operations on experts.
    pub route: Option<Routes>,
    /// The weights that it reads.
    pub weights: Vec<Weights>,
    /// Columns of the stage's value that it makes.
    pub columns: Range<usize>,
}

/// Weights on a backend.
#[derive(Debug)]
pub enum Held<B: Backend> {
    /// A matrix, or one for each expert.
    Mat(B::Mat),
    /// A vector.
    Vector(B::Vector),
}

impl Operation {
    /// Whether everything fits together; rows and columns of its result.
    ///
    /// # Errors
    /// What does not fit together.
    pub fn check(&self) -> Result<(usize, usize), String> {
        use Stage as S;
        let Self { settings: s, rows, inputs, route, weights, columns, site } = self;
        let n = rows.position.len();
        let want = |what: &str, found: usize, expected: usize| {
            if found == expected { Ok(()) } else { Err(format!("{what}: {found}, expected {expected}")) }
        };
        let known = |what: &str, holds: bool| if holds { Ok(()) } else { Err(what.to_owned()) };
        known("has no rows", n > 0)?;
        want("tokens", rows.token.len(), n)?;
        want("sequences", rows.sequence.len(), n)?;
        known("has a sequence other than 0", rows.sequence.iter().all(|s| *s == 0))?;
        known("has positions that do not ascend", rows.position.is_sorted_by(|a, b| a < b))?;
        known("has a position past the last", rows.position.iter().all(|p| *p < LAST_POSITION))?;
        known("has columns that are none", columns.start < columns.end)?;
        let width = columns.len();
        let (chosen, entries) = match route {
            None => (1, n),
            Some(r) => {
                want("rows of the route", r.margin.len(), n)?;
                known("has a route of no experts", r.chosen > 0)?;
                want("experts of the rows", r.ids.len(), n * r.chosen)?;
                want("weights of the experts", r.weights.len(), n * r.chosen)?;
                (r.chosen, n * r.chosen)
            }
        };
        for p in inputs {
            known("has an input of no columns", p.width > 0)?;
            want("numbers of an input", p.rows() * p.width, p.values.len())?;
        }
        let shapes = |expected: &[(usize, usize)]| {
            want("inputs", inputs.len(), expected.len())?;
            for (p, (rows, width)) in inputs.iter().zip(expected) {
                want("rows of an input", p.rows(), *rows)?;
                want("columns of an input", p.width, *width)?;
            }
            Ok::<_, String>(())
        };
        let one = |rows: usize| {
            known("has no input", !inputs.is_empty())?;
            shapes(&[(rows, inputs[0].width)])?;
            Ok::<_, String>(inputs[0].width)
        };
        let count = |n: usize| want("tensors of weights", weights.len(), n);
        let vector = |len: usize| {
            count(1)?;
            want("rows of a vector", weights[0].rows * weights[0].count, 1)?;
            want("weights of a vector", weights[0].cols, len)
        };
        for w in weights {
            let bytes = w.format.row_bytes(w.cols).and_then(|b| b.checked_mul(w.rows)?.checked_mul(w.count));
            known("has weights of no rows", w.rows > 0 && w.count > 0 && w.cols > 0)?;
            let Some(bytes) = bytes else {
                return Err(format!("{} columns are no whole blocks of {}", w.cols, w.format));
            };
            want("bytes of weights", w.bytes.len(), bytes)?;
        }
        let numbered = |experts: usize| {
            let logits = n.checked_mul(experts);
            known("has too many experts for its rows", logits.is_some_and(|l| l <= MOST_LOGITS))
        };
        let products = |cols: usize| {
            known("has no weights", !weights.is_empty())?;
            want("columns", width, weights.iter().map(|w| w.col.saturating_add(w.rows)).max().unwrap_or(0))?;
            for w in weights {
                want("columns of the weights", w.cols, cols)?;
                known(
                    "has weights beside the result",
                    w.col.checked_add(w.rows).is_some_and(|e| e <= width),
                )?;
                let last = route.as_ref().map_or(0, |r| r.ids.iter().copied().max().unwrap_or(0));
                known("has an expert without weights", (last as usize) < w.count)?;
                known("has matrices that no row uses", route.is_some() || w.count == 1)?;
                known("has fewer matrices than experts of a row", w.count >= chosen)?;
                numbered(w.count)?;
            }
            Ok::<_, String>(())
        };
        let heads = |heads: usize| {
            known("has heads of no width", s.head_dim > 0 && s.head_dim <= WIDEST_HEAD)?;
            match heads.checked_mul(s.head_dim) {
                Some(w) if heads > 0 => Ok(w),
                _ => Err("has no heads".to_owned()),
            }
        };
        let made = match site.stage {
            S::Embedding => {
                shapes(&[])?;
                count(1)?;
                want("columns", weights[0].cols, width)?;
                want("matrices", weights[0].count, 1)?;
                known(
                    "has a token without a row",
                    rows.token.iter().all(|t| (*t as usize) < weights[0].rows),
                )?;
                n
            }
            S::AttnNorm | S::FfnNorm | S::FinalNorm => {
                want("columns", one(n)?, width)?;
                vector(width)?;
                let output = site.stage == S::FinalNorm;
                known("has no output rows", !output || !rows.out.is_empty())?;
                known("has an output row that is none", rows.out.iter().all(|r| (*r as usize) < n))?;
                known("has output rows that do not ascend", rows.out.is_sorted_by(|a, b| a < b))?;
                if output { rows.out.len() } else { n }
            }
            S::QkvMatmul | S::AttnOut | S::MoeRouterLogits | S::LmHead => {
                products(one(n)?)?;
                n
            }
            S::MoeExpertGate | S::MoeExpertUp | S::FfnGate | S::FfnUp => {
                products(one(n)?)?;
                entries
            }
            S::MoeExpertOut | S::FfnOut => {
                products(one(entries)?)?;
                entries
            }
            S::QkvBias => {
                want("columns", one(n)?, width)?;
                for w in weights {
                    want("rows of a vector", w.rows * w.count, 1)?;
                    let end = w.col.checked_add(w.cols);
                    known("has a bias beside the result", end.is_some_and(|e| e <= width))?;
                }
                n
            }
            S::QNorm | S::KNorm => {
                let width = one(n)?;
                heads(1)?;
                vector(s.head_dim)?;
                known("has columns that are no whole heads", width.is_multiple_of(s.head_dim))?;
                want("columns", columns.len(), width)?;
                n
            }
            S::QPostRope | S::KPostRope => {
                let width = one(n)?;
                heads(1)?;
                count(0)?;
                known("has columns that are no whole heads", width.is_multiple_of(s.head_dim))?;
                let r = &s.rope;
                known("rotates more than a head", r.dims <= s.head_dim && r.dims.is_multiple_of(2))?;
                known("has factors of other pairs", r.factors.is_empty() || r.factors.len() * 2 == r.dims)?;
                want("columns", columns.len(), width)?;
                n
            }
            S::Attention => {
                let (q, kv) = (heads(s.heads)?, heads(s.kv_heads)?);
                known("has heads that share no keys evenly", s.heads.is_multiple_of(s.kv_heads))?;
                let keys = rows.position.last().map_or(0, |p| *p as usize + 1);
                shapes(&[(n, q), (keys, kv), (keys, kv)])?;
                count(0)?;
                want("columns", width, q)?;
                n
            }
            S::PostAttnResidual | S::PostFfnResidual | S::MoeExpertSwigl | S::FfnSwigl => {
                let rows = inputs.first().map_or(0, Plane::rows);
                known("has no rows", rows > 0 && rows.is_multiple_of(n))?;
                shapes(&[(rows, width), (rows, width)])?;
                count(0)?;
                rows
            }
            S::MoeRouter | S::MoeRouterIndices => {
                let Some(e) = s.experts else { return Err("is of no mixture of experts".to_owned()) };
                want("logits", one(n)?, e.count)?;
                known("chooses more experts than there are", e.used > 0 && e.used <= e.count)?;
                count(0)?;
                want("columns", width, e.used)?;
                n
            }
            S::MoeFfnOut => {
                want("columns", one(entries)?, width)?;
                let Some(route) = route else { return Err("has no route".to_owned()) };
                let experts = s.experts.map_or(0, |e| e.count).max(chosen);
                numbered(experts)?;
                known("has an expert that is none", route.ids.iter().all(|id| (*id as usize) < experts))?;
                count(0)?;
                n
            }
            S::FfnSilu | S::AttnScores | S::AttnSoftmax => {
                return Err(format!("'{}' is a derived value, expected one that a pass makes", site.stage));
            }
        };
        let routed = matches!(site.stage, S::MoeExpertGate | S::MoeExpertUp | S::MoeExpertOut | S::MoeFfnOut);
        known("has a route that it does not use, or none that it needs", routed == route.is_some())?;
        Ok((made, width))
    }

    /// Its weights on a backend.
    ///
    /// # Errors
    /// What the backend reports.
    pub fn take_up<B: Backend>(&self, be: &mut B) -> Result<Vec<Held<B>>, B::Err> {
        let vector = matches!(
            self.site.stage,
            Stage::AttnNorm
                | Stage::FfnNorm
                | Stage::FinalNorm
                | Stage::QNorm
                | Stage::KNorm
                | Stage::QkvBias
        );
        let one = |w: &Weights| {
            let Weights { ref tensor, format, count, rows, cols, ref bytes, .. } = *w;
            let tensor = Tensor { name: tensor, format, count, rows, cols, bytes };
            Ok(if vector { Held::Vector(be.vector(tensor)?) } else { Held::Mat(be.mat(tensor)?) })
        };
        self.weights.iter().map(one).collect()
    }

    /// Performs it with weights that it took up; `[rows, columns]` of [`Operation::check`], which has to have held.
    /// Expert ids come as numbers.
    ///
    /// # Errors
    /// What the backend reports.
    pub fn perform<B: Backend>(&self, be: &mut B, held: &[Held<B>]) -> Result<Vec<f32>, B::Err> {
        use Stage as S;
        let Self { settings, rows, inputs, site, columns, .. } = self;
        let config = settings.config();
        let (n, width) = (rows.position.len(), columns.len());
        let batch = be.batch(rows, None)?;
        let input = |i: usize| inputs.get(i).ok_or(Stop);
        let vector = |i: usize| match held.get(i) {
            Some(Held::Vector(v)) => Ok(v),
            _ => Err(Stop),
        };
        let mat = |i: usize| match held.get(i) {
            Some(Held::Mat(m)) => Ok(m),
            _ => Err(Stop),
        };
        match site.stage {
            S::Embedding => {
                let mut o = be.act(n, width)?;
                be.embed(&mut o, mat(0)?, &batch)?;
                be.read(&o, Cols::ALL)
            }
            S::AttnNorm | S::FfnNorm => {
                let (x, mut o) = (plane(be, input(0)?)?, be.act(n, width)?);
                be.norm(&mut o, &x, vector(0)?, config.eps)?;
                be.read(&o, Cols::ALL)
            }
            S::FinalNorm => {
                let (x, m) = (plane(be, input(0)?)?, rows.out.len());
                let (mut y, mut o) = (be.act(m, width)?, be.act(m, width)?);
                be.select(&mut y, &x, &batch)?;
                be.norm(&mut o, &y, vector(0)?, config.eps)?;
                be.read(&o, Cols::ALL)
            }
            S::QkvBias => {
                let mut x = plane(be, input(0)?)?;
                for (i, w) in self.weights.iter().enumerate() {
                    be.bias(&mut x, w.col, vector(i)?)?;
                }
                be.read(&x, Cols::ALL)
            }
            S::QNorm | S::KNorm => {
                let mut x = plane(be, input(0)?)?;
                be.head_norm(&mut x, Cols::new(0, width), vector(0)?, config.eps)?;
                be.read(&x, Cols::ALL)
            }
            S::QPostRope | S::KPostRope => {
                let mut x = plane(be, input(0)?)?;
                be.rope(&mut x, Cols::new(0, width), &config, &batch)?;
                be.read(&x, Cols::ALL)
            }
            S::Attention => self.attend(be, &config, &batch),
            S::MoeRouterLogits => {
                let (x, mut o) = (plane(be, input(0)?)?, be.act(n, width)?);
                be.router(&mut o, mat(0)?, &x)?;
                be.read(&o, Cols::ALL)
            }
            S::MoeRouter | S::MoeRouterIndices => {
                let x = plane(be, input(0)?)?;
                let mut route = be.route_plane(n, width)?;
                be.top_k(&mut route, &x, &config)?;
                let Routes { ids, weights, .. } = be.read_route(&route)?;
                let ids = || ids.iter().map(|&id| id as f32).collect();
                Ok(if site.stage == S::MoeRouter { weights } else { ids() })
            }
            S::MoeExpertSwigl | S::FfnSwigl => {
                let (gate, up) = (input(0)?, input(1)?);
                let pairs = gate.values.chunks_exact(width).zip(up.values.chunks_exact(width));
                let values = pairs.flat_map(|(g, u)| g.iter().chain(u).copied()).collect();
                let x = plane(be, &Plane { width: 2 * width, values })?;
                let mut o = be.act(gate.rows(), width)?;
                be.swiglu(&mut o, &x)?;
                be.read(&o, Cols::ALL)
            }
            S::MoeFfnOut => {
                let (y, mut o) = (plane(be, input(0)?)?, be.act(n, width)?);
                let route = self.routes(be)?.ok_or(Stop)?;
                be.combine(&mut o, &y, &route)?;
                be.read(&o, Cols::ALL)
            }
            S::PostAttnResidual | S::PostFfnResidual => {
                let (mut x, y) = (plane(be, input(0)?)?, plane(be, input(1)?)?);
                be.add(&mut x, &y)?;
                be.read(&x, Cols::ALL)
            }
            S::QkvMatmul | S::AttnOut | S::LmHead => {
                let x = eight_bit_plane(be, input(0)?)?;
                let mut o = be.act(n, width)?;
                for (i, w) in self.weights.iter().enumerate() {
                    be.matmul(&mut o, w.col, mat(i)?, &x, None)?;
                }
                be.read(&o, Cols::ALL)
            }
            S::MoeExpertGate | S::MoeExpertUp | S::MoeExpertOut | S::FfnGate | S::FfnUp | S::FfnOut => {
                let x = eight_bit_plane(be, input(0)?)?;
                let route = self.routes(be)?;
                let entries = self.route.as_ref().map_or(n, |r| r.ids.len());
                let mut o = be.act(entries, width)?;
                be.matmul(&mut o, 0, mat(0)?, &x, route.as_ref())?;
                be.read(&o, Cols::ALL)
            }
            S::FfnSilu | S::AttnScores | S::AttnSoftmax => Err(Stop.into()),
        }
    }

    /// Appends all keys and values, then attends with the rows.
    fn attend<B: Backend>(&self, be: &mut B, config: &Config, batch: &B::Batch) -> Result<Vec<f32>, B::Err> {
        let [q, k, v] = &self.inputs[..] else { return Err(Stop.into()) };
        let (n, keys) = (q.rows(), k.rows());
        let side_by_side = |first: usize, rows: usize| {
            let width = q.width + k.width + v.width;
            let mut values = Vec::with_capacity(rows * width);
            for row in first..first + rows {
                // Queries of earlier passes are read by nobody.
                let own = row.checked_sub(keys - n).map(|r| &q.values[r * q.width..][..q.width]);
                match own {
                    Some(own) => values.extend_from_slice(own),
                    None => values.resize(values.len() + q.width, 0.0),
                }
                values.extend_from_slice(&k.values[row * k.width..][..k.width]);
                values.extend_from_slice(&v.values[row * v.width..][..v.width]);
            }
            Plane { width, values }
        };
        let shape =
            KvShape { heads: config.kv_heads, head_dim: config.head_dim, positions: keys, sequences: 1 };
        let mut kv = be.kv(shape)?;
        let all = Rows {
            token: vec![0; keys],
            position: (0..keys as u32).collect(),
            sequence: vec![0; keys],
            out: Vec::new(),
        };
        let (all, whole) = (be.batch(&all, None)?, plane(be, &side_by_side(0, keys))?);
        be.append(&mut kv, &whole, config, &all)?;
        let qkv = plane(be, &side_by_side(keys - n, n))?;
        let mut o = be.act(n, q.width)?;
        be.attention(&mut o, &qkv, &kv, config, batch)?;
        be.read(&o, Cols::ALL)
    }

    /// The experts of its rows, on a backend.
    fn routes<B: Backend>(&self, be: &mut B) -> Result<Option<B::Route>, B::Err> {
        let Some(routes) = &self.route else { return Ok(None) };
        let n = self.rows.position.len();
        let all = self.settings.experts.map_or(0, |e| e.count);
        let count = self.weights.first().map_or(all, |w| w.count).max(routes.chosen);
        let experts = Experts { count, used: routes.chosen, renormalize: true };
        let config = Config { experts: Some(experts), ..self.settings.config() };
        // Choosing sets the number of rows, which writing then has to agree with.
        let logits = plane(be, &Plane { width: count, values: vec![0.0; n * count] })?;
        let mut route = be.route_plane(n, routes.chosen)?;
        be.top_k(&mut route, &logits, &config)?;
        be.write_route(&mut route, routes)?;
        Ok(Some(route))
    }

    /// Bytes of its operands.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let numbers: usize = self.inputs.iter().map(|p| p.values.len()).sum();
        let ids = self.route.as_ref().map_or(0, |r| r.ids.len() + r.weights.len());
        let weights: usize = self.weights.iter().map(|w| w.bytes.len()).sum();
        (4 * (numbers + ids) + weights) as u64
    }
}

/// A plane that holds these values.
fn plane<B: Backend>(be: &mut B, p: &Plane) -> Result<B::Act, B::Err> {
    let n = p.rows();
    let bytes: Bytes = p.values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>().into();
    let table =
        Tensor { name: "input", format: Format::F32, count: 1, rows: n, cols: p.width, bytes: &bytes };
    let table = be.mat(table)?;
    let numbered = || (0..n as u32).collect::<Vec<_>>();
    let rows = Rows { token: numbered(), position: numbered(), sequence: vec![0; n], out: Vec::new() };
    let batch = be.batch(&rows, None)?;
    let mut x = be.act(n, p.width)?;
    // Looking up sets the number of rows, which writing then has to agree with.
    be.embed(&mut x, &table, &batch)?;
    be.write(&mut x, Cols::ALL, &p.values)?;
    Ok(x)
}

/// The same in every form that products read: an operation that makes them ran before, and writing keeps them.
fn eight_bit_plane<B: Backend>(be: &mut B, p: &Plane) -> Result<B::Act, B::Err> {
    let ones: Bytes = vec![1f32.to_le_bytes(); p.width].concat().into();
    let ones = Tensor { name: "ones", format: Format::F32, count: 1, rows: 1, cols: p.width, bytes: &ones };
    let (x, ones) = (plane(be, p)?, be.vector(ones)?);
    let mut o = be.act(p.rows(), p.width)?;
    be.norm(&mut o, &x, &ones, 1.0)?;
    be.write(&mut o, Cols::ALL, &p.values)?;
    Ok(o)
}

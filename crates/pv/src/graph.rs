//! Circles in directed graphs.

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef as _;
use std::collections::{HashMap, HashSet, VecDeque};

/// An edge between numbered nodes.
#[derive(Debug, Clone, Copy)]
pub struct Edge<L> {
    /// Where it starts.
    pub from: usize,
    /// Where it ends.
    pub to: usize,
    /// What it is known by.
    pub label: L,
}

/// A way back to where it started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Circle<L> {
    /// The nodes in order, the first one again at the end.
    pub nodes: Vec<usize>,
    /// Its first edge.
    pub label: L,
}

/// One shortest circle through the smallest node of every set of nodes that reach each other.
pub fn circles<L: Copy>(nodes: usize, edges: impl IntoIterator<Item = Edge<L>>) -> Vec<Circle<L>> {
    let mut graph = DiGraph::<(), L>::with_capacity(nodes, 0);
    for _ in 0..nodes {
        graph.add_node(());
    }
    for Edge { from, to, label } in edges {
        graph.add_edge(NodeIndex::new(from), NodeIndex::new(to), label);
    }
    let mut found: Vec<Circle<L>> =
        // Without recursion: a chain may be longer than a stack.
        kosaraju_scc(&graph).iter().filter_map(|component| shortest(&graph, component)).collect();
    found.sort_by(|a, b| a.nodes.cmp(&b.nodes));
    found
}

/// The shortest circle through the smallest node of a strongly connected component; none when it is a lone node
/// without an edge to itself.
fn shortest<L: Copy>(graph: &DiGraph<(), L>, component: &[NodeIndex]) -> Option<Circle<L>> {
    let start = *component.iter().min()?;
    // Almost every component of almost every graph.
    if component.len() == 1 && !graph.contains_edge(start, start) {
        return None;
    }
    let inside: HashSet<NodeIndex> = component.iter().copied().collect();
    let mut came_from: HashMap<NodeIndex, (NodeIndex, L)> = HashMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for edge in graph.edges(node) {
            let next = edge.target();
            if inside.contains(&next) && !came_from.contains_key(&next) {
                came_from.insert(next, (node, *edge.weight()));
                queue.push_back(next);
            }
        }
        if came_from.contains_key(&start) {
            break;
        }
    }
    let mut nodes = vec![start.index()];
    let mut at = start;
    loop {
        let (before, label) = came_from.get(&at)?;
        nodes.push(before.index());
        if *before == start {
            nodes.reverse();
            return Some(Circle { nodes, label: *label });
        }
        at = *before;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(nodes: usize, edges: &[(usize, usize)]) -> Vec<Vec<usize>> {
        let edges = edges.iter().map(|(from, to)| Edge { from: *from, to: *to, label: () });
        circles(nodes, edges).into_iter().map(|circle| circle.nodes).collect()
    }

    #[test]
    fn each_set_of_mutual_dependence_shows_one_circle() {
        assert_eq!(of(3, &[(0, 1), (1, 2)]), Vec::<Vec<usize>>::new());
        assert_eq!(of(1, &[(0, 0)]), [vec![0, 0]]);
        assert_eq!(of(4, &[(0, 1), (1, 0), (2, 3), (3, 2), (1, 2)]), [vec![0, 1, 0], vec![2, 3, 2]]);
        assert_eq!(of(4, &[(0, 1), (1, 2), (2, 3), (3, 0), (2, 0)]), [vec![0, 1, 2, 0]]);
    }

    #[test]
    fn the_label_is_of_the_first_edge() {
        let edges = [Edge { from: 1, to: 0, label: "back" }, Edge { from: 0, to: 1, label: "there" }];
        assert_eq!(circles(2, edges)[0].label, "there");
    }
}

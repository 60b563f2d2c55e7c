//! Two tests of one name.

mod left {
    #[test]
    fn twin() {
        assert_eq!(alpha::double(0), 0);
    }
}

mod right {
    #[test]
    fn twin() {
        assert_eq!(alpha::double(1), 2);
    }
}

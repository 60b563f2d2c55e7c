// The weight formats: variant, name, id in GGUF files, weights of a block, bytes of a block, layout. Included where the
// macro `formats` makes of it what is needed there.
formats! {
    F32 "F32" 0 1 4 F32;
    F16 "F16" 1 1 2 F16;
    Q4_0 "Q4_0" 2 32 18 Q4_0;
    Q4_1 "Q4_1" 3 32 20 Q4_1;
    Q5_0 "Q5_0" 6 32 22 Q5_0;
    Q5_1 "Q5_1" 7 32 24 Q5_1;
    Q8_0 "Q8_0" 8 32 34 Q8_0;
    Q2K "Q2_K" 10 256 84 Q2K;
    Q3K "Q3_K" 11 256 110 Q3K;
    Q4K "Q4_K" 12 256 144 Q4K;
    Q5K "Q5_K" 13 256 176 Q5K;
    Q6K "Q6_K" 14 256 210 Q6K;
    IQ4NL "IQ4_NL" 20 32 18 Iq4Nl;
    IQ4XS "IQ4_XS" 23 256 136 Iq4Xs;
    BF16 "BF16" 30 1 2 Bf16;
}
